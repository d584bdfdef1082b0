"""The values passed between packages: drives, beliefs, packets, estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# A numpy or a jax array: interchangeable here, but not to a type checker.
Array = Any


class Belief(NamedTuple):
    """A state and its uncertainty.

    mean: `[X]` state, laid out as `StateSpace` says.
    cov: `[D, D]` covariance in the tangent space at `mean`.
    """

    mean: Array
    cov: Array


class Packet(NamedTuple):
    """One event: the readings of the correcting sensors, and the ticks up to the next event.

    z: `[Z]` measurements, 0 where not seen; columns are those of `Scenario.sensors`.
    seen: `[S]` bool, one per sensor.
    u: `[K, U]` inputs from this event to the next; columns are `Scenario.inputs`.
    dt: `[K]` seconds each input holds; 0 marks padding.
    """

    z: Array
    seen: Array
    u: Array
    dt: Array


class Estimate(NamedTuple):
    """An estimator's estimate at an event, after its measurements.

    mean: `[X]` state.
    cov: `[D, D]` covariance in the tangent space, or None if there is none.
    """

    mean: Array
    cov: Array | None


class Drive(NamedTuple):
    """One run of a robot as events with the ticks between them; `[B]` in front in a batch.

    t: `[E]` seconds of each event, float64.
    packets: a `Packet` whose arrays have `[E]` in front.
    belief: the initial belief, before the first event's measurements.
    truth: `[E, X]` state at each event, or None if it is unknown.
    """

    t: Array
    packets: Packet
    belief: Belief
    truth: Array | None

    @property
    def seconds(self) -> float:
        """Return the time from the first event to the last [s], of a batch's first drive."""
        t = np.asarray(self.t).reshape(-1, np.shape(self.t)[-1])[0]
        return float(t[-1] - t[0])


class Estimator(NamedTuple):
    """A filter or a student.

    init: belief -> carry.
    step: (carry, packet) -> (carry, estimate). The estimate is for the packet's event,
    after its measurements; the carry is for the next event.
    """

    init: Callable[[Belief], Any]
    step: Callable[[Any, Packet], tuple[Any, Any]]
