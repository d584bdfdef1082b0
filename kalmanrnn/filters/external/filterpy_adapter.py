"""Use an existing filterpy filter as a teacher; filterpy itself is not imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from kalmanrnn.core.datatypes import Belief, Estimate, Packet


class FilterpyTeacher:
    """A filterpy filter `kf`: `kf.predict(...)` at every tick, `kf.update(...)` at events.

    inputs: (u `[U]`, dt [s]) -> keyword arguments of `predict` for that tick.
    readings: (z `[Z]`, seen `[S]`) -> keyword arguments of `update`, one mapping per call: one
        per sensor seen, none where nothing was seen.
    to_estimate: kf -> (mean `[X]`, cov `[D, D]` or None) in the scenario's layout.
    from_belief: (kf, belief) -> None; resets everything that an earlier drive left in kf.
    Without the last two the filter's x and P must have the scenario's layout.
    """

    def __init__(
        self,
        kf: Any,
        *,
        inputs: Callable[[np.ndarray, float], Mapping[str, Any]],
        readings: Callable[[np.ndarray, np.ndarray], Iterable[Mapping[str, Any]]],
        to_estimate: Callable[[Any], Any] | None = None,
        from_belief: Callable[[Any, Belief], None] | None = None,
    ):
        self.kf, self.inputs, self.readings = kf, inputs, readings
        self.to_estimate = to_estimate or (lambda kf: (np.ravel(kf.x), kf.P))
        self.from_belief = from_belief or _set_x_and_p

    def init(self, belief: Belief) -> None:
        """Start a drive."""
        self.from_belief(self.kf, belief)

    def step(self, packet: Packet) -> Estimate:
        """Correct with an event's measurements, return the estimate, predict to the next event."""
        for keywords in self.readings(packet.z, packet.seen):
            self.kf.update(**keywords)
        mean, cov = self.to_estimate(self.kf)
        estimate = Estimate(np.array(mean), None if cov is None else np.array(cov))
        for u, dt in zip(packet.u, packet.dt, strict=True):
            # dt = 0 marks padding.
            if dt > 0:
                self.kf.predict(**self.inputs(u, float(dt)))
        return estimate


def _set_x_and_p(kf: Any, belief: Belief) -> None:
    """Set a filter's state, in its own shape (column or flat), and covariance."""
    kf.x, kf.P = np.reshape(belief.mean, np.shape(kf.x)), belief.cov.copy()
