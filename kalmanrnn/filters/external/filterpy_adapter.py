"""Make a filterpy filter that a user has already a teacher; filterpy itself is not imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from kalmanrnn.core.datatypes import Belief, Estimate, Packet


class FilterpyTeacher:
    """A filterpy filter `kf`: `kf.predict(...)` at every tick, `kf.update(...)` at events.

    inputs: (u `[U]`, dt [s]) -> the keywords of `predict` for that tick.
    readings: (z `[Z]`, seen `[S]`) -> the keywords of `update`, one mapping per call; give one
        per sensor seen, and none where nothing was seen.
    to_estimate: kf -> (mean `[X]`, cov `[D, D]` or None) as the scenario lays them out.
    from_belief: (kf, belief) -> None, sets all that a drive before has left in kf.
    Without the last two the filter's x and P must be laid out as the scenario's state.
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
        """Use an event's measurements, say the estimate, go on to the next event."""
        for keywords in self.readings(packet.z, packet.seen):
            self.kf.update(**keywords)
        mean, cov = self.to_estimate(self.kf)
        said = Estimate(np.array(mean), None if cov is None else np.array(cov))
        for u, dt in zip(packet.u, packet.dt, strict=True):
            # A tick of no length is padding.
            if dt > 0:
                self.kf.predict(**self.inputs(u, float(dt)))
        return said


def _set_x_and_p(kf: Any, belief: Belief) -> None:
    """Set a filter's state, a column or flat as it is, and covariance."""
    kf.x, kf.P = np.reshape(belief.mean, np.shape(kf.x)), belief.cov.copy()
