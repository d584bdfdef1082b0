"""Sequences of unequal length: end to end in flat arrays, and buckets of alike ones.

One batch axis holds different sequences; memory is carried along each of them from window to
window and starts empty where the next bucket begins, so nothing leaks from one into another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kalmanrnn.tasks.sampler import drawer, lengths_of, stream_key
from kalmanrnn.tasks.task import Sample, SequenceTask

# Each length drawn for is one compilation: lengths are rounded up on a ladder of this ratio.
LADDER = 1.15


class Store(NamedTuple):
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


def make_store(
    task: SequenceTask, seed: int, stream: int, count: int, *, batch: int = 256
) -> Store:
    """Draw a stream's first `count` sequences, each to its own length."""
    lengths = lengths_of(task, seed, stream, count)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    x = np.empty((starts[-1], len(task.inputs)), np.float32)
    y = np.empty((starts[-1], len(task.labels)), np.float32)
    weight = np.empty(starts[-1], np.float32)
    order = np.argsort(lengths, kind="stable")
    for first in range(0, count, batch):
        rows = order[first : first + batch]
        steps = rung(int(lengths[rows].max()))
        # A short last batch is filled up: one shape, one compilation.
        filled = np.resize(rows, min(batch, count))
        made = drawer(task.draw, steps)(stream_key(seed, stream), filled)
        made = Sample(*map(np.asarray, made))
        for i, row in enumerate(rows):
            place = slice(starts[row], starts[row + 1])
            x[place], y[place], weight[place] = (a[i, : lengths[row]] for a in made)
    return Store(x, y, weight, starts)


def rung(length: int) -> int:
    """Round a length up on the ladder."""
    return int(np.ceil(LADDER ** np.ceil(np.log(length) / np.log(LADDER))))


def buckets(lengths: np.ndarray, batch: int) -> list[np.ndarray]:
    """Sort sequences by length into buckets of at most `batch`, as even as can be."""
    order = np.argsort(lengths, kind="stable")
    return np.array_split(order, -(-len(order) // batch))


def windows_of(lengths: np.ndarray, rows: np.ndarray, window: int) -> int:
    """Count the windows that a bucket's longest sequence takes."""
    return -(-int(lengths[rows].max()) // window)


def padding(lengths: np.ndarray, batch: int, window: int) -> float:
    """Return the share of all steps computed that lies behind a sequence's end or in no row."""
    groups = buckets(lengths, batch)
    computed = sum(batch * window * windows_of(lengths, rows, window) for rows in groups)
    return 1 - float(lengths.sum()) / computed


def cut(store: Store, rows: np.ndarray, at: int, window: int, batch: int) -> Sample:
    """Cut one window of a bucket: `[batch, window, ...]`; weight 0 where nothing is."""
    filled = np.resize(rows, batch)
    t = np.arange(at * window, (at + 1) * window)
    inside = t < store.lengths[filled][:, None]
    inside[len(rows) :] = False
    where = np.minimum(store.starts[filled][:, None] + t, len(store.x) - 1)
    mask = inside[..., None].astype(np.float32)
    return Sample(store.x[where] * mask, store.y[where] * mask, store.weight[where] * mask[..., 0])


def each_window(store: Store, batch: int, window: int) -> Iterator[tuple[np.ndarray, int, Sample]]:
    """Go through a store once: the rows of a bucket, the window's number, its steps."""
    for rows in buckets(store.lengths, batch):
        for at in range(windows_of(store.lengths, rows, window)):
            yield rows, at, cut(store, rows, at, window, batch)


def put_back(store: Store, rows: np.ndarray, at: int, out: np.ndarray, flat: np.ndarray) -> None:
    """Write a window's outputs `[batch, window, D]` to their places in `[S, D]`."""
    window = out.shape[1]
    for i, row in enumerate(rows):
        first = store.starts[row] + at * window
        count = min(window, store.starts[row + 1] - first)
        if count > 0:
            flat[first : first + count] = out[i, :count]
