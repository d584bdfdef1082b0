"""A student one message at a time, as a robot's own program would run it.

Says what the batch says: events, ticks and fillings follow `logs.bind`'s rules, none of which
looks ahead. A measurement is taken in at its time of validity: one that comes late is taken in
by going back to the event before it and on again from there, up to `max_delay_s`.
"""

from __future__ import annotations

import bisect
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.online.input_buffer import CAPACITY, InputBuffer
from kalmanrnn.logs.binding.bind import MAX_GAP_S, MIN_INTERVAL_SHARE
from kalmanrnn.logs.binding.initial_belief import attitude_from_gravity, check_gravity
from kalmanrnn.logs.recording.geodesy import Origin, geodetic_to_enu
from kalmanrnn.logs.recording.time_alignment import GAP_SLACK
from kalmanrnn.models.recurrent import merge
from kalmanrnn.models.stepping import Held, ahead, answer
from kalmanrnn.models.student import Normaliser, Student, first_carry
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.training.load import load_trained
from kalmanrnn.training.run_directory import open_run

SAME_S = 1e-6
DROPPED = ("late", "ahead", "early", "unstarted", "old", "thinned")


class StateEstimate(NamedTuple):
    """What is believed now: seconds of the newest message, state `[X]` in the world, float64."""

    t: float
    mean: np.ndarray


class Event(NamedTuple):
    """One event taken in: its time, what was seen, and all that going on from it needs.

    used: when each sensor's newest reading that was used was valid, up to this event.
    """

    t: float
    z: np.ndarray
    seen: np.ndarray
    held: Held
    used: tuple[float, ...]


class OnlineEstimator:
    """Run a trained student message by message; times in seconds on one clock, any origin.

    `dropped` counts what was not used: "late" (more than max_delay_s), "ahead" (of the newest
    input by more than that), "early" (before the first input), "unstarted" (before `start`),
    "old" (inputs out of order), "thinned" (faster than the scenario's sensor, counted once
    nothing can change it any more).
    """

    def __init__(
        self, student: Student, params: Any, norm: Normaliser, *, max_delay_s: float = 0.5
    ):
        scenario = student.scenario
        if student.config.every == "tick":
            raise UserError(
                "a student trained with --every tick has no stepper",
                why="it must be run at each input, not at events",
                cure="kalmanrnn train --every event",
            )
        self.scenario, self.student, self.max_delay_s = scenario, student, max_delay_s
        self.dropped = dict.fromkeys(DROPPED, 0)
        self._thinned: set[tuple[float, int]] = set()
        self._period = 1 / scenario.event_hz
        self._near = 0.5 / scenario.tick_hz
        self._slice = [
            np.flatnonzero(scenario.sensor_of == i) for i in range(len(scenario.sensors))
        ]
        self._names = {sensor.name: i for i, sensor in enumerate(scenario.sensors)}
        self._answer = jax.jit(partial(answer, student, params, norm))
        self._ahead = jax.jit(partial(ahead, student))
        self._memory = merge(student.graph, params).initial_state()
        # One more than in simulation: jitter splits a tick at either end.
        self._size = scenario.ticks_per_event + 1
        self._place = slice(0, 0)
        if scenario.origin:
            self._place = scenario.space.state_slice(scenario.origin)
        self._inputs = InputBuffer(len(scenario.inputs))
        self._first: np.ndarray | None = None
        self._origin = np.zeros(0)
        self._earth: Origin | None = None
        self._events: list[Event] = []
        self._readings: list[tuple[float, int, np.ndarray]] = []
        self._waiting: list[tuple[float, int, np.ndarray]] = []
        self._live: Any = None
        self._newest = -np.inf
        self._since_live = 0

    @classmethod
    def load(cls, run: str | Path, *, max_delay_s: float = 0.5) -> OnlineEstimator:
        """Load a run's student; UserError where there is none, or it is damaged."""
        folder = open_run(Path(run))
        config = folder.config()
        trained = load_trained(folder, load_scenario(config.sim, config.set), config)
        return cls(trained.student, trained.params, trained.norm, max_delay_s=max_delay_s)

    def start(self, mean: np.ndarray | None = None, **blocks: Any) -> None:
        """Say where the robot is at the first measurement: a state `[X]`, or blocks by name.

        Whatever came before is forgotten: a new drive begins, its clock may begin anew. Blocks
        not named are zero, rotations none. ValueError for one that is not there, a wrong size,
        what is not finite, or a quaternion whose length is not 1.
        """
        space = self.scenario.space
        state = space.identity() if mean is None else np.array(mean, float)
        for name, value in blocks.items():
            if name not in [b.name for b in space.blocks]:
                raise ValueError(f"no block {name!r} in {[b.name for b in space.blocks]}")
            state[space.state_slice(name)] = value
        if state.shape != (space.state_dim,) or not np.isfinite(state).all():
            raise ValueError(f"a state is {space.state_dim} finite numbers, got {state}")
        for block in space.blocks:
            length = float(np.linalg.norm(state[space.state_slice(block.name)]))
            if block.kind == "rotation" and abs(length - 1) > 1e-3:
                raise ValueError(f"{block.name} must be a quaternion of length 1, got {length:g}")
        self._origin = np.round(state[self._place])
        state[self._place] -= self._origin
        self._first = state.astype(np.float32)
        self._events, self._readings, self._waiting = [], [], []
        self._thinned, self._newest = set(), -np.inf
        self._inputs = InputBuffer(len(self.scenario.inputs))
        self._live, self._earth = None, None
        self.dropped = dict.fromkeys(self.dropped, 0)

    def start_level(
        self,
        accel: Any,
        *,
        heading_rad: float,
        position: Any = (0, 0, 0),
        velocity: Any = (0, 0, 0),
    ) -> None:
        """Start an IMU's scenario level: `accel` `[3]` is its mean reading while not accelerating.

        heading_rad: of the body's forward axis, from east towards north.
        """
        check_gravity(np.asarray(accel, float))
        attitude = attitude_from_gravity(np.asarray(accel, float), heading_rad)
        self.start(attitude=attitude, position=position, velocity=velocity)

    def on_imu(self, t: float, gyro: Any, accel: Any) -> StateEstimate | None:
        """Take an IMU reading [rad/s], [m/s^2], forward, left, up; return what is believed now."""
        return self.on_input(t, (*gyro, *accel))

    def on_input(self, t: float, values: Any) -> StateEstimate | None:
        """Take the scenario's inputs `[U]`; return what is believed now, None before the start.

        ValueError for what is not finite or has another size.
        """
        if t <= self._newest:
            self.dropped["old"] += 1
            return self._now()
        if not (np.isfinite(t) and np.isfinite(values).all()):
            raise ValueError(f"inputs must be finite, got {values} at {t}")
        if self._events and t - self._newest > MAX_GAP_S:
            raise ValueError(
                f"the clock jumped from {self._newest} to {t} s: call start() to begin anew"
            )
        if self._inputs.full:
            self._forget()
        self._inputs.add(t, values)
        self._newest = t
        while self._waiting and self._waiting[0][0] <= t:
            self._take(*self._waiting.pop(0))
        if self._events:
            self._fill(t)
            self._go_on()
        return self._now()

    def on_gps(self, t: float, position: Any) -> StateEstimate | None:
        """Take a GPS position east, north, up [m] in the local world, valid at t."""
        return self.on("gps", t, position)

    def on_gps_geodetic(
        self, t: float, latitude: float, longitude: float, altitude_m: float
    ) -> StateEstimate | None:
        """Take a fix in degrees and metres; the first one is the local world's origin."""
        if self._earth is None:
            self._earth = Origin(latitude, longitude, altitude_m)
        place = np.array([[latitude, longitude, altitude_m]])
        return self.on_gps(t, geodetic_to_enu(self._earth, place)[0])

    def on(self, sensor: str, t: float, reading: Any) -> StateEstimate | None:
        """Take a reading of a correcting sensor, valid at t; return what is believed now.

        ValueError for a sensor that the scenario has not, a wrong size, or what is not finite.
        """
        if sensor not in self._names:
            raise ValueError(f"no sensor {sensor!r} in {sorted(self._names)}")
        index = self._names[sensor]
        z = np.array(reading, float).reshape(-1)
        if z.size != self._slice[index].size or not np.isfinite(z).all() or not np.isfinite(t):
            raise ValueError(
                f"{sensor}: expected {self._slice[index].size} finite numbers, got {z}"
            )
        if self._first is None:
            self.dropped["unstarted"] += 1
            return None
        if not self.scenario.inputs:
            self._newest = max(self._newest, t)
        if self._newest - t > self.max_delay_s:
            self.dropped["late"] += 1
        elif self.scenario.inputs and (not self._inputs.count or t < self._inputs.t[0]):
            self.dropped["early"] += 1
        elif t > self._newest + self.max_delay_s:
            self.dropped["ahead"] += 1
        elif t > self._newest:
            bisect.insort(self._waiting, (t, index, z), key=_order)
        else:
            self._take(t, index, z)
            self._fill(self._newest)
            self._go_on()
        return self._now()

    @property
    def last_event(self) -> StateEstimate | None:
        """What was believed at the newest event, after its measurements."""
        if not self._events:
            return None
        return StateEstimate(self._events[-1].t, self._world(self._events[-1].held.mean))

    def _take(self, t: float, index: int, z: np.ndarray) -> None:
        """Put a reading where it belongs; go back first if it is older than what was taken in."""
        again = [(t, index, z)]
        if self._events and t < self._events[-1].t:
            first = len(self._events)
            while first and self._events[first - 1].t >= t - self._near:
                first -= 1
            back = min(self._events[first].t, t)
            cut = bisect.bisect_left([r[0] for r in self._readings], back)
            again = sorted([*self._readings[cut:], *again], key=_order)
            del self._readings[cut:], self._events[first:]
        for reading in again:
            self._readings.append(reading)
            self._use(*reading)
        self._since_live = -1
        if len(self._events) > CAPACITY:
            self._forget()

    def _use(self, t: float, index: int, z: np.ndarray) -> None:
        """Take a reading in, later than all before it: into the newest event, or a new one."""
        if (
            t - self._used()[index]
            < MIN_INTERVAL_SHARE / self.scenario.sensors[index].rate_hz - SAME_S
        ):
            self._thinned.add((t, index))
            return
        self._thinned.discard((t, index))
        # An event at which nothing is seen stands only if nothing comes for two periods.
        while self._events and not self._events[-1].seen.any():
            if self._events[-1].t + (1 - GAP_SLACK) * self._period <= t:
                break
            self._events.pop()
        seen = np.zeros(len(self._names), bool)
        full = np.zeros(self.scenario.sigma.size, np.float32)
        used = tuple(t if i == index else u for i, u in enumerate(self._used()))
        last = self._events[-1] if self._events else None
        if last is not None and t - last.t <= self._near and not last.seen[index]:
            seen, full, t = last.seen.copy(), last.z.copy(), last.t
            self._events.pop()
        else:
            self._fill(t)
        seen[index], full[self._slice[index]] = True, self._local(index, z)
        self._events.append(self._event(t, full, seen, used))

    def _used(self) -> tuple[float, ...]:
        """Tell when each sensor's newest reading that was used was valid."""
        return self._events[-1].used if self._events else (-np.inf,) * len(self._names)

    def _fill(self, t: float) -> None:
        """Put events at which nothing is seen into a gap that reaches to t."""
        if not self._events:
            return
        extra = int((t - self._events[-1].t) / self._period + GAP_SLACK) - 1
        start = self._events[-1].t
        for k in range(1, extra + 1):
            nothing = np.zeros(len(self._names), bool)
            z = np.zeros(self.scenario.sigma.size, np.float32)
            at = start + k * self._period
            self._events.append(self._event(at, z, nothing, self._used()))

    def _event(self, t: float, z: np.ndarray, seen: np.ndarray, used: tuple[float, ...]) -> Event:
        """Go from the newest event to t and answer what is seen there."""
        if not self._events:
            assert self._first is not None
            x = jnp.asarray(self._first)
            carry = first_carry(self.scenario, x, self._memory)
            held = Held(carry, x, self._memory, carry.output)
            u, dt = self._padded(np.zeros((0, len(self.scenario.inputs))), np.zeros(0))
            answer = self._answer(held, np.zeros(len(self._names), bool), u, dt, z, seen, True)
            return Event(t, z, seen, answer, used)
        last = self._events[-1]
        u, dt = self._ticks(last.t, t)
        answer = self._answer(last.held, last.seen, u, dt, z, seen, False)
        return Event(t, z, seen, answer, used)

    def _go_on(self) -> None:
        """Carry the newest event's state on to the newest input."""
        last = self._events[-1]
        if not self.student.predicts or self._newest <= last.t:
            self._live = last.held.mean
        elif self._since_live == len(self._events) and self._inputs.count > 1:
            u, dt = self._padded(*self._inputs.last_tick(), size=1)
            self._live = self._ahead(self._live, u, dt)
        else:
            u, dt = self._ticks(last.t, self._newest)
            self._live = self._ahead(last.held.mean, u, dt)
        self._since_live = len(self._events)

    def _ticks(self, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the ticks between two times, padded."""
        if not self.scenario.inputs:
            count = max(1, round((end - start) * self.scenario.tick_hz))
            return self._padded(np.zeros((count, 0)), np.full(count, (end - start) / count))
        return self._padded(*self._inputs.ticks(start, end))

    def _padded(
        self, u: np.ndarray, dt: np.ndarray, size: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fill ticks up to one of few sizes: each is compiled once."""
        size = size or self._size
        while size < len(dt):
            size *= 2
        full, steps = np.zeros((size, u.shape[1]), np.float32), np.zeros(size, np.float32)
        full[: len(dt)], steps[: len(dt)] = u, dt
        return full, steps

    def _local(self, index: int, z: np.ndarray) -> np.ndarray:
        """Take a reading to the student's own origin."""
        columns = self.scenario.origin_columns[self._slice[index]]
        absolute = columns >= 0
        z = z.copy()
        z[absolute] -= self._origin[columns[absolute]]
        return z.astype(np.float32)

    def _world(self, x: Any) -> np.ndarray:
        state = np.array(x, float)
        state[self._place] += self._origin
        return state

    def _now(self) -> StateEstimate | None:
        return None if self._live is None else StateEstimate(self._newest, self._world(self._live))

    def _forget(self) -> None:
        """Drop inputs, events and readings that nothing can go back to any more."""
        horizon = self._newest - self.max_delay_s - 4 * self._period
        old = 0
        while old < len(self._events) - 1 and self._events[old + 1].t < horizon:
            old += 1
        del self._events[:old]
        oldest = self._events[0].t if self._events else horizon
        del self._readings[: bisect.bisect_left([r[0] for r in self._readings], oldest)]
        settled = {key for key in self._thinned if key[0] < oldest}
        self._thinned -= settled
        self.dropped["thinned"] += len(settled)
        self._inputs.drop_before(oldest)
        self._since_live = -1


def _order(reading: tuple[float, int, np.ndarray]) -> tuple[float, int]:
    return reading[0], reading[1]
