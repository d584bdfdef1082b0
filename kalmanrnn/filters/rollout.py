"""Run an estimator over drives: one scan, batched by vmap, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive, Estimator


def rollout_drive(estimator: Estimator, drive: Drive) -> Any:
    """Scan an estimator over one drive; return its estimates with `[E]` in front."""
    _, estimates = jax.lax.scan(estimator.step, estimator.init(drive.belief), drive.packets)
    return estimates


def rollout(estimator: Estimator, drives: Drive) -> Any:
    """Scan an estimator over a batch of drives; return its estimates with `[B, E]` in front."""
    return jax.vmap(partial(rollout_drive, estimator))(drives)


def map_batches(run: Callable[[Drive], Any], drives: Drive, size: int) -> Any:
    """Apply a jitted function to `size` drives at a time; return numpy arrays.

    The last batch is filled up with drives from the front: one shape, one compilation.
    """
    count = len(drives.t)
    size = min(size, count)
    parts = []
    for start in range(0, count, size):
        rows = np.arange(start, start + size) % count
        part = run(jax.tree.map(lambda a, rows=rows: np.asarray(a)[rows], drives))
        parts.append(jax.tree.map(np.asarray, part))
    return jax.tree.map(lambda *a: np.concatenate(a)[:count], *parts)
