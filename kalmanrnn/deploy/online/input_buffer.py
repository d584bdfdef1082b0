"""A robot's inputs as they come in, and the ticks between any two times; numpy only."""

from __future__ import annotations

import numpy as np

ROOM = 4096


class Inputs:
    """The newest inputs: times and readings, as many as something may still go back to.

    t: `[n]` s, increasing. u: `[n, U]`. Both are views: valid until the next call.
    """

    def __init__(self, columns: int):
        self._t, self._u = np.zeros(ROOM), np.zeros((ROOM, columns))
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
        """Whether `forget` must be called before the next `add`."""
        return self.count == len(self._t)

    def add(self, t: float, values: np.ndarray | tuple[float, ...]) -> None:
        """Put a reading behind the others; ValueError if its size is wrong."""
        self._u[self.count] = values
        self._t[self.count] = t
        self.count += 1

    def forget(self, before: float) -> None:
        """Drop what lies before a time, but the last such reading; where little does, grow."""
        keep = max(int(np.searchsorted(self.t, before)) - 1, 0)
        t, u = self.t[keep:].copy(), self.u[keep:].copy()
        if len(t) > len(self._t) // 2:
            self._t = np.zeros(2 * len(self._t))
            self._u = np.zeros((2 * len(self._u), u.shape[1]))
        self.count = len(t)
        self._t[: self.count], self._u[: self.count] = t, u

    def ticks(self, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
        """Cut the time between into ticks `[K, U]`, `[K]`, as `logs.align.cut` does."""
        first, last = np.searchsorted(self.t, start, "right"), np.searchsorted(self.t, end, "left")
        edges = np.concatenate([[start], self.t[first:last], [end]])
        ends = np.concatenate([self._at(start), self.u[first:last], self._at(end)])
        return 0.5 * (ends[1:] + ends[:-1]), np.diff(edges)

    def newest_tick(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the tick between the last two readings, `[1, U]`, `[1]`."""
        return 0.5 * (self.u[-2:-1] + self.u[-1:]), np.diff(self.t[-2:])

    def _at(self, t: float) -> np.ndarray:
        """Interpolate the inputs `[1, U]`."""
        after = min(max(int(np.searchsorted(self.t, t)), 1), self.count - 1)
        before, later = self._t[after - 1], self._t[after]
        share = min(max((t - before) / (later - before), 0.0), 1.0)
        return ((1 - share) * self._u[after - 1] + share * self._u[after])[None]
