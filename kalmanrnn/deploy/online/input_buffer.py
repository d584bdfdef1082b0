"""A robot's inputs as they arrive, and the ticks between any two times; numpy only."""

from __future__ import annotations

import numpy as np

CAPACITY = 4096


class InputBuffer:
    """The newest inputs: times and readings, as many as a late message may go back to.

    t: `[n]` s, increasing. u: `[n, U]`. Both are views: valid until the next call.
    """

    def __init__(self, columns: int):
        self._t, self._u = np.zeros(CAPACITY), np.zeros((CAPACITY, columns))
        self.count = 0

    @property
    def t(self) -> np.ndarray:
        """Times, the newest last."""
        return self._t[: self.count]

    @property
    def u(self) -> np.ndarray:
        """Readings at these times."""
        return self._u[: self.count]

    @property
    def full(self) -> bool:
        """Whether `drop_before` must be called before the next `append`."""
        return self.count == len(self._t)

    def append(self, t: float, values: np.ndarray | tuple[float, ...]) -> None:
        """Append a reading; ValueError if its size is wrong."""
        self._u[self.count] = values
        self._t[self.count] = t
        self.count += 1

    def drop_before(self, before: float) -> None:
        """Drop readings before a time but the last of them; where few are, grow."""
        keep = max(int(np.searchsorted(self.t, before)) - 1, 0)
        t, u = self.t[keep:].copy(), self.u[keep:].copy()
        if len(t) > len(self._t) // 2:
            self._t = np.zeros(2 * len(self._t))
            self._u = np.zeros((2 * len(self._u), u.shape[1]))
        self.count = len(t)
        self._t[: self.count], self._u[: self.count] = t, u

    def ticks(self, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
        """Cut the time between into ticks `[K, U]`, `[K]`, as a log is cut when bound."""
        first, last = np.searchsorted(self.t, start, "right"), np.searchsorted(self.t, end, "left")
        edges = np.concatenate([[start], self.t[first:last], [end]])
        ends = np.concatenate(
            [self._interpolate(start), self.u[first:last], self._interpolate(end)]
        )
        return 0.5 * (ends[1:] + ends[:-1]), np.diff(edges)

    def last_tick(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the tick between the last two readings, `[1, U]`, `[1]`."""
        return 0.5 * (self.u[-2:-1] + self.u[-1:]), np.diff(self.t[-2:])

    def _interpolate(self, t: float) -> np.ndarray:
        """Interpolate the inputs `[1, U]`."""
        after = min(max(int(np.searchsorted(self.t, t)), 1), self.count - 1)
        before, later = self._t[after - 1], self._t[after]
        fraction = min(max((t - before) / (later - before), 0.0), 1.0)
        return ((1 - fraction) * self._u[after - 1] + fraction * self._u[after])[None]


def pad_ticks(u: np.ndarray, dt: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pad ticks to `size`, doubled until they fit: each size is compiled once."""
    while size < len(dt):
        size *= 2
    padded_u, padded_dt = np.zeros((size, u.shape[1]), np.float32), np.zeros(size, np.float32)
    padded_u[: len(dt)], padded_dt[: len(dt)] = u, dt
    return padded_u, padded_dt
