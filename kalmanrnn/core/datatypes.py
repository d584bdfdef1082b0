"""The values that travel through the program: drives, beliefs, packets, estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# A numpy or a jax array; the two are interchangeable here, and no type checker believes it.
Array = Any


class Belief(NamedTuple):
    """A state and how sure one is of it.

    mean: `[X]` state, laid out as `StateSpace` says.
    cov: `[D, D]` covariance in the tangent space at `mean`.
    """

    mean: Array
    cov: Array


class Packet(NamedTuple):
    """One event: what the correcting sensors say, and the ticks up to the next event.

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
    """What an estimator says at an event, after its measurements.

    mean: `[X]` state.
    cov: `[D, D]` covariance in the tangent space, or None from one that has none.
    """

    mean: Array
    cov: Array | None


class Drive(NamedTuple):
    """One run of a robot as events with the ticks between them; `[B]` in front in a batch.

    t: `[E]` seconds of each event, float64.
    packets: a `Packet` whose arrays have `[E]` in front.
    belief: where the filter starts, before the first event's measurements.
    truth: `[E, X]` state at each event, or None where nobody knows it.
    """

    t: Array
    packets: Packet
    belief: Belief
    truth: Array | None

    @property
    def seconds(self) -> float:
        """Time from the first event to the last [s], of the first drive in a batch."""
        t = np.asarray(self.t).reshape(-1, np.shape(self.t)[-1])[0]
        return float(t[-1] - t[0])


class Estimator(NamedTuple):
    """Anything that runs over a drive: a filter or a student.

    init: belief -> carry.
    step: (carry, packet) -> (carry, estimate). The estimate holds at the packet's event,
    after its measurements; the carry has been taken on to the next event.
    """

    init: Callable[[Belief], Any]
    step: Callable[[Any, Packet], tuple[Any, Any]]
