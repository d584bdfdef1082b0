"""Run a trained network: on whole sequences, from a hidden state, on unequal lengths."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.models.recurrent import HiddenState, merge
from kalmanrnn.tasks.model import Model, forward, initial_state, to_units
from kalmanrnn.tasks.ragged import RaggedSequences, iterate_windows, scatter
from kalmanrnn.tasks.task import SequenceTask

BATCH = 256


@lru_cache(maxsize=32)
def _runner(task: SequenceTask, graph: Any) -> Any:
    @jax.jit
    def run(
        params: Any, scales: Any, memory: HiddenState, x: jax.Array
    ) -> tuple[HiddenState, jax.Array]:
        memory, raw = forward(task, merge(graph, params), scales, memory, x)
        return memory, to_units(task, scales, raw)

    return run


def run_from(model: Model, memory: HiddenState, x: Any) -> tuple[HiddenState, jax.Array]:
    """Run over inputs `[B, T, F]` from a hidden state; return the next one and the outputs."""
    return _runner(model.task, model.graph)(model.params, model.scales, memory, jnp.asarray(x))


def predict_sequences(model: Model, x: Any, *, batch: int = BATCH) -> np.ndarray:
    """Run over whole sequences `[B, T, F]`, in batches, each from an empty memory.

    Outputs are shaped like labels, in their units; probabilities for classes.
    """
    count = len(x)
    size = min(batch, count)
    memory, parts = initial_state(model, size), []
    for first in range(0, count, size):
        rows = np.arange(first, first + size) % count
        parts.append(np.asarray(run_from(model, memory, x[rows])[1]))
    return np.concatenate(parts)[:count]


def predict_ragged(model: Model, data: RaggedSequences, *, batch: int, window: int) -> np.ndarray:
    """Run over sequences of unequal length, bucket by bucket: outputs `[S, D]` end to end."""
    flat = np.empty_like(data.y)
    fresh = memory = initial_state(model, batch)
    for rows, at, part in iterate_windows(data, batch, window):
        memory, out = run_from(model, fresh if at == 0 else memory, part.x)
        scatter(data, rows, at, np.asarray(out), flat)
    return flat
