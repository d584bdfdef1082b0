"""Sequences side by side against one after the other: the same outputs, and how much faster."""

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
from kalmanrnn.tasks.fit import begin, updater
from kalmanrnn.tasks.model import Model, empty
from kalmanrnn.tasks.predict import carry_on
from kalmanrnn.tasks.ragged import Store, cut


def alone(model: Model, store: Store, row: int, window: int, *, before: int = 0) -> np.ndarray:
    """Run over one sequence with nothing beside it, window by window: `[T, D]`.

    before: so many steps of zeros stand in front of it, as padding does in some tools.
    """
    x = store.x[store.starts[row] : store.starts[row + 1]]
    x = np.pad(x, [(before, 0), (0, 0)])
    memory, parts = empty(model, 1), []
    for first in range(0, len(x), window):
        part = x[first : first + window]
        filled = np.pad(part, [(0, window - len(part)), (0, 0)])
        memory, out = carry_on(model, memory, filled[None])
        parts.append(np.asarray(out)[0, : len(part)])
    return np.concatenate(parts)[before:]


def padded_in_front(model: Model, store: Store, rows: Sequence[int], window: int) -> float:
    """Return how much outputs change at most where a window of zeros stands in front."""
    pairs = (
        (alone(model, store, row, window, before=window), alone(model, store, row, window))
        for row in rows
    )
    return max(float(np.abs(padded - bare).max()) for padded, bare in pairs)


def largest_difference(
    model: Model, store: Store, flat: np.ndarray, rows: Sequence[int], window: int
) -> float:
    """Compare outputs of a run side by side `[S, D]` with those of some sequences run alone."""
    parts = (slice(store.starts[row], store.starts[row + 1]) for row in rows)
    return max(
        float(np.abs(flat[part] - alone(model, store, row, window)).max())
        for row, part in zip(rows, parts, strict=True)
    )


def training_rates(
    model: Model, store: Store, budget: BudgetConfig, batches: Sequence[int], *, rounds: int = 7
) -> list[float]:
    """Measure steps per second of training, for each number of sequences side by side.

    One after the other is a batch of 1: the same windows, the same jitted update. Windows are
    whole, so every step counts; cutting them from the store is part of it. The sizes take turns
    in every round, and each is worth the median of its rounds.
    """
    runs = [make_round(model, store, budget, batch) for batch in batches]
    for one in runs:
        one()
    taken = [[one() for one in runs] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def make_round(model: Model, store: Store, budget: BudgetConfig, batch: int) -> Callable[[], float]:
    """Return a function that trains on some windows of a batch: steps per second."""
    window, own = budget.window, replace(budget, batch=batch, sequences=0)
    update, first = updater(model, own), begin(model, own)
    rng = np.random.default_rng(batch)
    # Sequences that have a whole window; without any, the longest are the best there is.
    long = np.flatnonzero(store.lengths >= min(window, store.lengths.max()))
    # More updates where each is short: rounds of about the same time.
    rows = long[rng.integers(len(long), size=(max(16, 256 // batch), batch))]
    whole = max(1, int(store.lengths[long].min()) // window)

    def one() -> float:
        state, loss, began = first, None, time.perf_counter()
        for at, some in enumerate(rows):
            part = cut(store, some, at % whole, window, batch)
            state, loss = update(state, part, at % whole == 0)
        jax.block_until_ready((state, loss))
        return rows.size * window / (time.perf_counter() - began)

    return one


def peak_memory_gb() -> float:
    """Return the most memory that this process has held so far [GB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
