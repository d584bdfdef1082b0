"""The batch of each update of a task; it follows from the update's number alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.tasks.ragged import (
    RaggedSequences,
    count_windows,
    cut_window,
    make_buckets,
    sample_ragged,
)
from kalmanrnn.tasks.sampler import TRAINING, make_sampler, sample_sequences, stream_key
from kalmanrnn.tasks.task import Sample, SequenceTask


class Position(NamedTuple):
    """Where an update falls: the epoch, the bucket in it, the window in that."""

    epoch: int
    bucket: int
    window: int


def batch_size(budget: BudgetConfig) -> int:
    """Return the size of a batch: at most as many as there are sequences."""
    return min(budget.batch, budget.sequences or budget.batch)


BatchFunction = Callable[[int], tuple[Sample, bool]]


def make_batches(task: SequenceTask, budget: BudgetConfig) -> BatchFunction:
    """Return a function: update -> (window of a batch, whether its sequences begin there)."""
    if task.lengths is not None or (task.precompute and task.per_step):
        return _from_ragged(task, budget)
    return _from_sampler(task, budget)


def window_length(task: SequenceTask, budget: BudgetConfig) -> int:
    """Return the steps of one window."""
    whole = budget.window == 0 or not task.per_step
    return task.steps if whole else min(budget.window, task.steps)


def _from_sampler(task: SequenceTask, budget: BudgetConfig) -> BatchFunction:
    window = window_length(task, budget)
    windows = -(-task.steps // window)
    key = stream_key(budget.seed, TRAINING)
    draw = make_sampler(task.sample, task.steps)
    kept: dict[int, Sample] = {}
    if task.precompute:
        every = sample_sequences(task, budget.seed, TRAINING, budget.sequences)

    def take(bucket: int) -> Sample:
        rows = batch_indices(budget, bucket)
        return jax.tree.map(lambda a: a[rows], every) if task.precompute else draw(key, rows)

    def batch_at(update: int) -> tuple[Sample, bool]:
        bucket, at = divmod(update, windows)
        if windows == 1:
            return take(bucket), True
        if bucket not in kept:
            kept.clear()
            kept[bucket] = jax.tree.map(lambda a: _padded(a, windows * window), take(bucket))
        part = jax.tree.map(lambda a: a[:, at * window : (at + 1) * window], kept[bucket])
        return part, at == 0

    return batch_at


def batch_indices(budget: BudgetConfig, bucket: int) -> np.ndarray:
    """Return the numbers of a batch's sequences: fresh ones, or each once an epoch."""
    batch, count = batch_size(budget), budget.sequences
    if not count:
        return np.arange(bucket * batch, (bucket + 1) * batch)
    epoch, inside = divmod(bucket, count // batch)
    order = random_stream(budget.seed, Stream.TASK_BATCHES, epoch).permutation(count)
    return order[inside * batch : (inside + 1) * batch]


def _padded(a: Any, steps: int) -> Any:
    return jnp.pad(a, [(0, 0), (0, steps - a.shape[1]), *[(0, 0)] * (a.ndim - 2)])


def _from_ragged(task: SequenceTask, budget: BudgetConfig) -> BatchFunction:
    data = sample_ragged(task, budget.seed, TRAINING, budget.sequences)
    window = budget.window or task.steps
    batch = batch_size(budget)
    groups = make_buckets(data.lengths, batch)

    def batch_at(update: int) -> tuple[Sample, bool]:
        position = locate(data, groups, window, budget.seed, update)
        return cut_window(
            data, groups[position.bucket], position.window, window, batch
        ), position.window == 0

    return batch_at


def locate(
    data: RaggedSequences, groups: list[np.ndarray], window: int, seed: int, update: int
) -> Position:
    """Find where an update falls; buckets are shuffled in every epoch."""
    counts = np.array([count_windows(data.lengths, rows, window) for rows in groups])
    epoch, inside = divmod(update, int(counts.sum()))
    order = random_stream(seed, Stream.TASK_BUCKETS, epoch).permutation(len(groups))
    ends = np.cumsum(counts[order])
    at = int(np.searchsorted(ends, inside, side="right"))
    return Position(epoch, int(order[at]), int(inside - (ends[at] - counts[order[at]])))
