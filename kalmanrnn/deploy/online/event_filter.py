"""Events made of readings in order of time, and a student run over them; all in its local frame.

The rules are those of `logs.binding`, and none of them looks ahead: readings close in time share
an event, readings faster than their sensor are thinned, a gap is filled with events at which
nothing is seen.
"""

from __future__ import annotations

import bisect
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Packet
from kalmanrnn.deploy.online.input_buffer import CAPACITY, InputBuffer, pad_ticks
from kalmanrnn.logs.binding.bound_log import MIN_INTERVAL_SHARE
from kalmanrnn.logs.recording.time_alignment import GAP_SLACK
from kalmanrnn.models.recurrent import merge
from kalmanrnn.models.student import (
    Normaliser,
    StepState,
    Student,
    initial_carry,
    predict,
    update,
)
from kalmanrnn.scenarios.propagation import propagate

SAME_S = 1e-6


class Reading(NamedTuple):
    """What a sensor measured at time t [s]: columns `z` of its own, float32."""

    t: float
    sensor: int
    z: np.ndarray


class Event(NamedTuple):
    """One event: its time, measurements `[Z]`, sensors seen `[S]`, and the student after it.

    used: times of each sensor's last reading that was used, up to this event.
    """

    t: float
    z: np.ndarray
    seen: np.ndarray
    state: StepState
    used: tuple[float, ...]


class EventFilter:
    """A student's events so far; an insertion goes back to where its reading belongs.

    thinned: (time, sensor) of readings that were too close to the one before.
    """

    def __init__(self, student: Student, params: Any, norm: Normaliser):
        scenario = student.scenario
        self.student, self.scenario = student, scenario
        self.period = 1 / scenario.event_hz
        self._half_tick = 0.5 / scenario.tick_hz
        self._columns = [
            np.flatnonzero(scenario.sensor_of == i) for i in range(len(scenario.sensors))
        ]
        self._update = jax.jit(partial(update, student, params, norm))
        self._step = jax.jit(partial(next_state, student, params, norm))
        self._propagate = jax.jit(partial(propagate, scenario.process))
        self._memory = merge(student.graph, params).initial_state()
        # One more than in simulation: jitter splits a tick at either end.
        self._max_ticks = scenario.ticks_per_event + 1
        self.reset(np.zeros(scenario.space.state_dim))

    def reset(self, x: np.ndarray) -> None:
        """Forget everything; the first event starts at the state `[X]`."""
        self.inputs = InputBuffer(len(self.scenario.inputs))
        self.events: list[Event] = []
        self.readings: list[Reading] = []
        self.thinned: set[tuple[float, int]] = set()
        self._first = jnp.asarray(x, jnp.float32)
        # The last prediction: from which event, to which time, and its state.
        self._predicted: tuple[Event | None, float, Any] = (None, -np.inf, None)

    @property
    def full(self) -> bool:
        """Whether `drop_before` should be called."""
        return len(self.events) > CAPACITY

    def insert(self, reading: Reading) -> None:
        """Use a reading at its time; events after it are made again."""
        again = [reading]
        if self.events and reading.t < self.events[-1].t:
            first = len(self.events)
            while first and self.events[first - 1].t >= reading.t - self._half_tick:
                first -= 1
            back = min(self.events[first].t, reading.t)
            cut = bisect.bisect_left(self.readings, back, key=lambda r: r.t)
            again = sorted([*self.readings[cut:], reading], key=lambda r: r[:2])
            del self.readings[cut:], self.events[first:]
        for one in again:
            self.readings.append(one)
            self._append(one)

    def _append(self, reading: Reading) -> None:
        """Use a reading later than all before it: in the newest event, or in a new one."""
        t, sensor, z = reading
        closest = MIN_INTERVAL_SHARE / self.scenario.sensors[sensor].rate_hz - SAME_S
        if t - self._used()[sensor] < closest:
            self.thinned.add((t, sensor))
            return
        self.thinned.discard((t, sensor))
        # An event at which nothing is seen stands only if nothing comes for two periods.
        while self.events and not self.events[-1].seen.any():
            if self.events[-1].t + (1 - GAP_SLACK) * self.period <= t:
                break
            self.events.pop()
        seen = np.zeros(len(self.scenario.sensors), bool)
        full = np.zeros(self.scenario.sigma.size, np.float32)
        used = tuple(t if i == sensor else u for i, u in enumerate(self._used()))
        last = self.events[-1] if self.events else None
        if last is not None and t - last.t <= self._half_tick and not last.seen[sensor]:
            seen, full, t = last.seen.copy(), last.z.copy(), last.t
            self.events.pop()
        else:
            self.fill(t)
        seen[sensor], full[self._columns[sensor]] = True, z
        self.events.append(self._event(t, full, seen, used))

    def _used(self) -> tuple[float, ...]:
        """Return the time of each sensor's last reading that was used."""
        return self.events[-1].used if self.events else (-np.inf,) * len(self.scenario.sensors)

    def fill(self, t: float) -> None:
        """Fill a gap up to t with events at which nothing is seen."""
        if not self.events:
            return
        start = self.events[-1].t
        extra = int((t - start) / self.period + GAP_SLACK) - 1
        seen = np.zeros(len(self.scenario.sensors), bool)
        z = np.zeros(self.scenario.sigma.size, np.float32)
        for k in range(1, extra + 1):
            self.events.append(self._event(start + k * self.period, z, seen, self._used()))

    def _event(self, t: float, z: np.ndarray, seen: np.ndarray, used: tuple[float, ...]) -> Event:
        """Predict from the newest event to t and update with what is seen there."""
        if self.events:
            last = self.events[-1]
            u, dt = self._ticks(last.t, t)
            state = self._step(last.state, last.seen, u, dt, z, seen)
        else:
            carry = initial_carry(self.scenario, self._first, self._memory)
            state = self._update(carry, z, seen)
        return Event(t, z, seen, state, used)

    def predict_to(self, t: float) -> Any:
        """Return the state `[X]` carried on from the newest event to t, the newest input's time."""
        last = self.events[-1]
        if not self.student.predicts or t <= last.t:
            return last.state.mean
        base, reached, x = self._predicted
        if base is last and self.inputs.count > 1 and reached == self.inputs.t[-2]:
            x = self._propagate(x, *pad_ticks(*self.inputs.last_tick(), 1))
        elif base is not last or reached != t:
            x = self._propagate(last.state.mean, *self._ticks(last.t, t))
        self._predicted = (last, t, x)
        return x

    def _ticks(self, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the ticks between two times, padded."""
        if self.scenario.inputs:
            return pad_ticks(*self.inputs.ticks(start, end), self._max_ticks)
        count = max(1, round((end - start) * self.scenario.tick_hz))
        dt = np.full(count, (end - start) / count)
        return pad_ticks(np.zeros((count, 0)), dt, self._max_ticks)

    def drop_before(self, t: float) -> int:
        """Drop inputs, events and readings that are needed only before t.

        Returns how many thinned readings can no longer become used ones.
        """
        old = 0
        while old < len(self.events) - 1 and self.events[old + 1].t < t:
            old += 1
        del self.events[:old]
        oldest = self.events[0].t if self.events else t
        del self.readings[: bisect.bisect_left(self.readings, oldest, key=lambda r: r.t)]
        settled = {key for key in self.thinned if key[0] < oldest}
        self.thinned -= settled
        self.inputs.drop_before(oldest)
        return len(settled)


def next_state(
    student: Student,
    params: Any,
    norm: Normaliser,
    state: StepState,
    seen_before: jax.Array,
    u: jax.Array,
    dt: jax.Array,
    z: jax.Array,
    seen: jax.Array,
) -> StepState:
    """Predict from one event to the next over the ticks between, and update there."""
    carry = predict(student, state, Packet(z, seen_before, u, dt))
    return update(student, params, norm, carry, z, seen)
