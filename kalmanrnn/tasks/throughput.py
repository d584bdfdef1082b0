"""Batched sequences against single ones: the same outputs, and how much faster."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import jax
import numpy as np

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.tasks.fit import init_state, make_update
from kalmanrnn.tasks.model import Model, initial_state
from kalmanrnn.tasks.predict import run_from
from kalmanrnn.tasks.ragged import RaggedSequences, cut_window


def run_single(
    model: Model, data: RaggedSequences, row: int, window: int, *, before: int = 0
) -> np.ndarray:
    """Run over one sequence alone, window by window: `[T, D]`.

    before: steps of zeros in front of it, as some tools pad.
    """
    x = data.x[data.starts[row] : data.starts[row + 1]]
    x = np.pad(x, [(before, 0), (0, 0)])
    memory, parts = initial_state(model, 1), []
    for first in range(0, len(x), window):
        part = x[first : first + window]
        filled = np.pad(part, [(0, window - len(part)), (0, 0)])
        memory, out = run_from(model, memory, filled[None])
        parts.append(np.asarray(out)[0, : len(part)])
    return np.concatenate(parts)[before:]


def front_padding_difference(
    model: Model, data: RaggedSequences, rows: Sequence[int], window: int
) -> float:
    """Return the largest change of outputs when a window of zeros is put in front."""
    pairs = (
        (
            run_single(model, data, row, window, before=window),
            run_single(model, data, row, window),
        )
        for row in rows
    )
    return max(float(np.abs(padded - bare).max()) for padded, bare in pairs)


def max_difference(
    model: Model, data: RaggedSequences, flat: np.ndarray, rows: Sequence[int], window: int
) -> float:
    """Return the largest difference of batched outputs `[S, D]` from those of single runs."""
    parts = (slice(data.starts[row], data.starts[row + 1]) for row in rows)
    return max(
        float(np.abs(flat[part] - run_single(model, data, row, window)).max())
        for row, part in zip(rows, parts, strict=True)
    )


def training_throughput(
    model: Model,
    data: RaggedSequences,
    budget: BudgetConfig,
    batches: Sequence[int],
    *,
    rounds: int = 7,
) -> list[float]:
    """Measure steps per second of training, for each batch size.

    All use the same windows and the same jitted update. Windows are whole, so every step counts;
    cutting them is included. Sizes alternate, and the median of all rounds counts.
    """
    runs = [make_timed_round(model, data, budget, batch) for batch in batches]
    for run in runs:
        run()
    taken = [[run() for run in runs] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def make_timed_round(
    model: Model, data: RaggedSequences, budget: BudgetConfig, batch: int
) -> Callable[[], float]:
    """Return a function that trains on some windows and returns steps per second."""
    window, own = budget.window, replace(budget, batch=batch, sequences=0)
    update, first = make_update(model, own), init_state(model, own)
    rng = random_stream(budget.seed, Stream.THROUGHPUT, batch)
    # Sequences that have a whole window, or else the longest.
    long = np.flatnonzero(data.lengths >= min(window, data.lengths.max()))
    # More updates where each is short, so that rounds take about the same time.
    rows = long[rng.integers(len(long), size=(max(16, 256 // batch), batch))]
    whole = max(1, int(data.lengths[long].min()) // window)

    def timed_round() -> float:
        state, loss, began = first, None, time.perf_counter()
        for at, some in enumerate(rows):
            part = cut_window(data, some, at % whole, window, batch)
            state, loss = update(state, part, at % whole == 0)
        jax.block_until_ready((state, loss))
        return rows.size * window / (time.perf_counter() - began)

    return timed_round


def peak_memory_gb() -> float:
    """Return the peak memory of this process [GB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
