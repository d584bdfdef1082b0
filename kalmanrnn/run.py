"""Run any estimator over drives: one scan, batched by vmap, compiled once."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax

from kalmanrnn.types import Drive, Estimator


def over_drive(estimator: Estimator, drive: Drive) -> Any:
    """Scan an estimator over one drive; its estimates with `[E]` in front."""
    _, estimates = jax.lax.scan(estimator.step, estimator.init(drive.belief), drive.packets)
    return estimates


def over_drives(estimator: Estimator, drives: Drive) -> Any:
    """Scan an estimator over a batch of drives; its estimates with `[B, E]` in front."""
    return jax.vmap(partial(over_drive, estimator))(drives)
