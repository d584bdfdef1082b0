"""Run a trained student one message at a time, as a robot's own program does.

Its estimates equal those of the batch over a recorded log. A measurement is used at its time of
validity: one that comes late is inserted by going back to the event before it, up to
`max_delay_s`; one that comes before the inputs up to its time waits for them.
"""

from __future__ import annotations

import bisect
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.core.state_space import StateSpace
from kalmanrnn.deploy.online.event_filter import EventFilter, Reading
from kalmanrnn.logs.binding.bound_log import MAX_GAP_S
from kalmanrnn.logs.binding.initial_belief import attitude_from_gravity, check_gravity
from kalmanrnn.logs.recording.geodesy import Origin, geodetic_to_enu
from kalmanrnn.models.student import Normaliser, Student
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training.trained import load_student

DROPPED = ("late", "ahead", "early", "unstarted", "old", "thinned")


class StateEstimate(NamedTuple):
    """The state `[X]` in the world, float64, at the time t [s] of the newest input."""

    t: float
    mean: np.ndarray


class OnlineEstimator:
    """Run a trained student message by message; times in seconds on one clock, any origin.

    `dropped` counts messages that were not used: "late" (by more than max_delay_s), "ahead" (of
    the newest input by more than that), "early" (before the first input), "unstarted" (before
    `start`), "old" (inputs out of order), "thinned" (faster than the scenario's sensor, counted
    once no late message can change it).
    """

    def __init__(
        self, student: Student, params: Any, norm: Normaliser, *, max_delay_s: float = 0.5
    ):
        scenario = student.scenario
        if student.config.every == "tick":
            raise UserError(
                "a student trained with --every tick has no online estimator",
                why="it runs at each input, not at events",
                cure="kalmanrnn train --every event",
            )
        self.scenario: Scenario = scenario
        self.student: Student = student
        self.max_delay_s: float = max_delay_s
        self.dropped: dict[str, int] = dict.fromkeys(DROPPED, 0)
        self._sensors = {sensor.name: i for i, sensor in enumerate(scenario.sensors)}
        self._filter = EventFilter(student, params, norm)
        self._origin_slice = slice(0, 0)
        if scenario.origin:
            self._origin_slice = scenario.space.state_slice(scenario.origin)
        self._started = False
        self._origin = np.zeros(0)
        self._earth: Origin | None = None
        self._waiting: list[Reading] = []
        self._newest = -np.inf

    @classmethod
    def load(cls, run: str | Path, *, max_delay_s: float = 0.5) -> OnlineEstimator:
        """Load a run's student, or a saved one; UserError where there is none or it is damaged."""
        trained = load_student(run)
        return cls(trained.student, trained.params, trained.norm, max_delay_s=max_delay_s)

    def start(self, mean: np.ndarray | None = None, **blocks: Any) -> None:
        """Set the state at the first measurement: `[X]`, or blocks by name.

        Everything before is forgotten: a new drive begins, and its clock may start anew. Blocks
        not named are zero, rotations the identity. ValueError for an unknown block, a wrong size,
        a number that is not finite, or a quaternion whose length is not 1.
        """
        state = initial_state(self.scenario.space, mean, blocks)
        self._origin = np.round(state[self._origin_slice])
        state[self._origin_slice] -= self._origin
        self._filter.reset(state)
        self._waiting, self._newest, self._earth = [], -np.inf, None
        self._started = True
        self.dropped = dict.fromkeys(DROPPED, 0)

    def start_level(
        self,
        accel: Any,
        *,
        heading_rad: float,
        position: Any = (0, 0, 0),
        velocity: Any = (0, 0, 0),
    ) -> None:
        """Start a scenario with an IMU: `accel` `[3]` is its mean reading while not accelerating.

        heading_rad: of the body's forward axis, from east towards north.
        """
        check_gravity(np.asarray(accel, float))
        attitude = attitude_from_gravity(np.asarray(accel, float), heading_rad)
        self.start(attitude=attitude, position=position, velocity=velocity)

    def on_imu(self, t: float, gyro: Any, accel: Any) -> StateEstimate | None:
        """Take an IMU reading [rad/s], [m/s^2], forward, left, up; return the state at t."""
        return self.on_input(t, (*gyro, *accel))

    def on_input(self, t: float, values: Any) -> StateEstimate | None:
        """Take the scenario's inputs `[U]`; return the state at t, None before the first event.

        ValueError for a wrong size, numbers that are not finite, or a clock that jumps.
        """
        if t <= self._newest:
            self.dropped["old"] += 1
            return self._estimate()
        if not (np.isfinite(t) and np.isfinite(values).all()):
            raise ValueError(f"inputs must be finite, got {values} at {t}")
        if self._filter.events and t - self._newest > MAX_GAP_S:
            raise ValueError(
                f"the clock jumped from {self._newest} to {t} s: call start() to begin anew"
            )
        if self._filter.inputs.full:
            self._drop_old()
        self._filter.inputs.append(t, values)
        self._newest = t
        while self._waiting and self._waiting[0].t <= t:
            self._insert(self._waiting.pop(0))
        self._filter.fill(t)
        return self._estimate()

    def on_gps(self, t: float, position: Any) -> StateEstimate | None:
        """Take a GPS position east, north, up [m] in the local world, valid at t."""
        return self.on("gps", t, position)

    def on_gps_geodetic(
        self, t: float, latitude: float, longitude: float, altitude_m: float
    ) -> StateEstimate | None:
        """Take a GPS fix in degrees and metres, valid at t.

        The first fix after `start` is the local world's origin: start at position (0, 0, 0).
        """
        if self._earth is None:
            self._earth = Origin(latitude, longitude, altitude_m)
        geodetic = np.array([[latitude, longitude, altitude_m]])
        return self.on_gps(t, geodetic_to_enu(self._earth, geodetic)[0])

    def on(self, sensor: str, t: float, reading: Any) -> StateEstimate | None:
        """Take a reading of a correcting sensor, valid at t; return the newest state.

        ValueError for a sensor that is not in the scenario, a wrong size, or numbers that are
        not finite.
        """
        if sensor not in self._sensors:
            raise ValueError(f"no sensor {sensor!r} in {sorted(self._sensors)}")
        index, z = self._sensors[sensor], np.array(reading, float).reshape(-1)
        size = len(self.scenario.sensors[index].channels)
        if z.size != size or not np.isfinite(z).all() or not np.isfinite(t):
            raise ValueError(f"{sensor}: expected {size} finite numbers, got {z}")
        if not self._started:
            self.dropped["unstarted"] += 1
            return None
        inputs = self._filter.inputs
        if not self.scenario.inputs:
            self._newest = max(self._newest, t)
        if self._newest - t > self.max_delay_s:
            self.dropped["late"] += 1
        elif self.scenario.inputs and (not inputs.count or t < inputs.t[0]):
            self.dropped["early"] += 1
        elif t > self._newest + self.max_delay_s:
            self.dropped["ahead"] += 1
        elif t > self._newest:
            waiting = Reading(t, index, self._to_local(index, z))
            bisect.insort(self._waiting, waiting, key=lambda r: r[:2])
        else:
            self._insert(Reading(t, index, self._to_local(index, z)))
            self._filter.fill(self._newest)
        return self._estimate()

    def _insert(self, reading: Reading) -> None:
        self._filter.insert(reading)
        if self._filter.full:
            self._drop_old()

    def _drop_old(self) -> None:
        """Drop everything that is too old for a late message to change."""
        horizon = self._newest - self.max_delay_s - 4 * self._filter.period
        self.dropped["thinned"] += self._filter.drop_before(horizon)

    def _estimate(self) -> StateEstimate | None:
        if not self._filter.events:
            return None
        return StateEstimate(self._newest, self._to_world(self._filter.predict_to(self._newest)))

    def _to_local(self, sensor: int, z: np.ndarray) -> np.ndarray:
        """Move a reading to the student's own origin."""
        columns = self.scenario.origin_columns[self.scenario.sensor_of == sensor]
        absolute = columns >= 0
        z[absolute] -= self._origin[columns[absolute]]
        return z.astype(np.float32)

    def _to_world(self, x: Any) -> np.ndarray:
        state = np.array(x, float)
        state[self._origin_slice] += self._origin
        return state


def initial_state(space: StateSpace, mean: np.ndarray | None, blocks: dict[str, Any]) -> np.ndarray:
    """Return a state `[X]` with blocks set by name; ValueError where it cannot be one."""
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
    return state
