"""Sequences of unequal length: end to end in flat arrays, and in buckets of similar length.

Each row of a batch is another sequence; memory is carried along it from window to window and
starts empty with the next bucket, so nothing leaks from one sequence into another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kalmanrnn.tasks.sampler import make_sampler, sample_lengths, stream_key
from kalmanrnn.tasks.task import Sample, SequenceTask

# Every length is compiled for: lengths are rounded up to powers of this ratio.
LENGTH_RATIO = 1.15


class RaggedSequences(NamedTuple):
    """Sequences of a step task, end to end.

    x: `[S, F]`, y: `[S, D]`, weight: `[S]` as the task draws them. starts: `[N + 1]`.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, `[N]`."""
        return np.diff(self.starts)


def sample_ragged(
    task: SequenceTask, seed: int, stream: int, count: int, *, batch: int = 256
) -> RaggedSequences:
    """Draw a stream's first `count` sequences, each to its own length."""
    lengths = sample_lengths(task, seed, stream, count)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    x = np.empty((starts[-1], len(task.inputs)), np.float32)
    y = np.empty((starts[-1], len(task.labels)), np.float32)
    weight = np.empty(starts[-1], np.float32)
    order = np.argsort(lengths, kind="stable")
    for first in range(0, count, batch):
        rows = order[first : first + batch]
        steps = bucket_length(int(lengths[rows].max()))
        # Fill up a short last batch: one shape, one compilation.
        filled = np.resize(rows, min(batch, count))
        made = make_sampler(task.sample, steps)(stream_key(seed, stream), filled)
        made = Sample(*map(np.asarray, made))
        for i, row in enumerate(rows):
            place = slice(starts[row], starts[row + 1])
            x[place], y[place], weight[place] = (a[i, : lengths[row]] for a in made)
    return RaggedSequences(x, y, weight, starts)


def bucket_length(length: int) -> int:
    """Round a length up to the next one that is compiled for."""
    return int(np.ceil(LENGTH_RATIO ** np.ceil(np.log(length) / np.log(LENGTH_RATIO))))


def make_buckets(lengths: np.ndarray, batch: int) -> list[np.ndarray]:
    """Sort sequences by length into buckets of at most `batch`, as even as possible."""
    order = np.argsort(lengths, kind="stable")
    return np.array_split(order, -(-len(order) // batch))


def count_windows(lengths: np.ndarray, rows: np.ndarray, window: int) -> int:
    """Count the windows that a bucket's longest sequence takes."""
    return -(-int(lengths[rows].max()) // window)


def padding_share(lengths: np.ndarray, batch: int, window: int) -> float:
    """Return the share of computed steps that are padding."""
    groups = make_buckets(lengths, batch)
    computed = sum(batch * window * count_windows(lengths, rows, window) for rows in groups)
    return 1 - float(lengths.sum()) / computed


def cut_window(data: RaggedSequences, rows: np.ndarray, at: int, window: int, batch: int) -> Sample:
    """Cut one window of a bucket: `[batch, window, ...]`; weight 0 in padding."""
    filled = np.resize(rows, batch)
    t = np.arange(at * window, (at + 1) * window)
    inside = t < data.lengths[filled][:, None]
    inside[len(rows) :] = False
    where = np.minimum(data.starts[filled][:, None] + t, len(data.x) - 1)
    mask = inside[..., None].astype(np.float32)
    return Sample(data.x[where] * mask, data.y[where] * mask, data.weight[where] * mask[..., 0])


def iterate_windows(
    data: RaggedSequences, batch: int, window: int
) -> Iterator[tuple[np.ndarray, int, Sample]]:
    """Yield each window once: the rows of a bucket, the window's number, its steps."""
    for rows in make_buckets(data.lengths, batch):
        for at in range(count_windows(data.lengths, rows, window)):
            yield rows, at, cut_window(data, rows, at, window, batch)


def scatter(
    data: RaggedSequences, rows: np.ndarray, at: int, out: np.ndarray, flat: np.ndarray
) -> None:
    """Write a window's outputs `[batch, window, D]` to their places in `[S, D]`."""
    window = out.shape[1]
    for i, row in enumerate(rows):
        first = data.starts[row] + at * window
        count = min(window, data.starts[row + 1] - first)
        if count > 0:
            flat[first : first + count] = out[i, :count]
