"""What each update of a task learns from; all of it follows from the update's number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.tasks.ragged import Store, buckets, cut, make_store, windows_of
from kalmanrnn.tasks.sampler import TRAINING, drawer, sequences, stream_key
from kalmanrnn.tasks.task import Sample, SequenceTask


class Spot(NamedTuple):
    """Where an update falls: the pass over the sequences, the bucket in it, the window in that."""

    turn: int
    bucket: int
    window: int


def batch_of(budget: BudgetConfig) -> int:
    """Return the rows of a batch: no more than there are sequences."""
    return min(budget.batch, budget.sequences or budget.batch)


Feed = Callable[[int], tuple[Sample, bool]]


def make_feed(task: SequenceTask, budget: BudgetConfig) -> Feed:
    """Return update number -> (window of a batch, whether sequences begin in it)."""
    if task.lengths is not None or (task.store and task.by_step):
        return _from_store(task, budget)
    return _as_drawn(task, budget)


def window_of(task: SequenceTask, budget: BudgetConfig) -> int:
    """Return the steps of one window."""
    whole = budget.window == 0 or not task.by_step
    return task.steps if whole else min(budget.window, task.steps)


def _as_drawn(task: SequenceTask, budget: BudgetConfig) -> Feed:
    window = window_of(task, budget)
    windows = -(-task.steps // window)
    key = stream_key(budget.seed, TRAINING)
    draw = drawer(task.draw, task.steps)
    kept: dict[int, Sample] = {}
    if task.store:
        every = sequences(task, budget.seed, TRAINING, budget.sequences)

    def take(bucket: int) -> Sample:
        rows = rows_of(budget, bucket)
        return jax.tree.map(lambda a: a[rows], every) if task.store else draw(key, rows)

    def feed(update: int) -> tuple[Sample, bool]:
        bucket, at = divmod(update, windows)
        if windows == 1:
            return take(bucket), True
        if bucket not in kept:
            kept.clear()
            kept[bucket] = jax.tree.map(lambda a: _padded(a, windows * window), take(bucket))
        part = jax.tree.map(lambda a: a[:, at * window : (at + 1) * window], kept[bucket])
        return part, at == 0

    return feed


def rows_of(budget: BudgetConfig, bucket: int) -> np.ndarray:
    """Return the numbers of a batch's sequences: fresh ones, or each once in a pass."""
    batch, count = batch_of(budget), budget.sequences
    if not count:
        return np.arange(bucket * batch, (bucket + 1) * batch)
    turn, inside = divmod(bucket, count // batch)
    order = np.random.default_rng([budget.seed, turn]).permutation(count)
    return order[inside * batch : (inside + 1) * batch]


def _padded(a: Any, steps: int) -> Any:
    return jnp.pad(a, [(0, 0), (0, steps - a.shape[1]), *[(0, 0)] * (a.ndim - 2)])


def _from_store(task: SequenceTask, budget: BudgetConfig) -> Feed:
    store = make_store(task, budget.seed, TRAINING, budget.sequences)
    window = budget.window or task.steps
    batch = batch_of(budget)
    groups = buckets(store.lengths, batch)

    def feed(update: int) -> tuple[Sample, bool]:
        spot = find(store, groups, window, budget.seed, update)
        return cut(store, groups[spot.bucket], spot.window, window, batch), spot.window == 0

    return feed


def find(store: Store, groups: list[np.ndarray], window: int, seed: int, update: int) -> Spot:
    """Find where an update falls: buckets come in another order in every pass."""
    counts = np.array([windows_of(store.lengths, rows, window) for rows in groups])
    turn, inside = divmod(update, int(counts.sum()))
    order = np.random.default_rng([seed, turn]).permutation(len(groups))
    ends = np.cumsum(counts[order])
    at = int(np.searchsorted(ends, inside, side="right"))
    return Spot(turn, int(order[at]), int(inside - (ends[at] - counts[order[at]])))
