"""Run a trained network: over a batch of sequences, on from a memory, over unequal lengths."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.models.recurrent import HiddenState, merge
from kalmanrnn.tasks.model import Model, answer, empty, in_units
from kalmanrnn.tasks.ragged import Store, each_window, put_back
from kalmanrnn.tasks.task import SequenceTask

AT_ONCE = 256


@lru_cache(maxsize=32)
def _runner(task: SequenceTask, graph: Any) -> Any:
    @jax.jit
    def run(
        params: Any, scales: Any, memory: HiddenState, x: jax.Array
    ) -> tuple[HiddenState, jax.Array]:
        memory, raw = answer(task, merge(graph, params), scales, memory, x)
        return memory, in_units(task, scales, raw)

    return run


def carry_on(model: Model, memory: HiddenState, x: Any) -> tuple[HiddenState, jax.Array]:
    """Run on from a memory over inputs `[B, T, F]`: memory after, outputs in labels' units."""
    return _runner(model.task, model.graph)(model.params, model.scales, memory, jnp.asarray(x))


def outputs(model: Model, x: Any, *, at_once: int = AT_ONCE) -> np.ndarray:
    """Run over whole sequences `[B, T, F]`, a bounded number at a time, each with a fresh memory.

    Outputs are shaped as labels are, in their units; probabilities for classes.
    """
    count = len(x)
    size = min(at_once, count)
    memory, parts = empty(model, size), []
    for first in range(0, count, size):
        rows = np.arange(first, first + size) % count
        parts.append(np.asarray(carry_on(model, memory, x[rows])[1]))
    return np.concatenate(parts)[:count]


def outputs_ragged(model: Model, store: Store, *, batch: int, window: int) -> np.ndarray:
    """Run over sequences of unequal length, bucket by bucket: outputs `[S, D]` end to end."""
    flat = np.empty_like(store.y)
    fresh = memory = empty(model, batch)
    for rows, at, part in each_window(store, batch, window):
        memory, out = carry_on(model, fresh if at == 0 else memory, part.x)
        put_back(store, rows, at, np.asarray(out), flat)
    return flat
