"""A scenario: one description of a robot, from which everything else follows.

A scenario is a Python file that exports `SCENARIO`; shipped ones and a user's own are
loaded the same way. The file is code and runs as such: load only files you trust.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.manifold import StateSpace, wrap
from kalmanrnn.sensors import Channel, Sensor


@dataclass(frozen=True)
class Scenario:
    """One description of a robot.

    process: `f`, (state `[X]`, input `[U]`, dt [s]) -> state `[X]`.
    process_noise: (state, input, dt) -> variances `[D]` added to the covariance by one tick.
    world: (key, ticks) -> (true states `[ticks + 1, X]`, inputs as measured `[ticks, U]`).
        Made finer than the filter's own `f`, or the comparison would flatter the filter.
    initial_std: `[D]` standard deviations of the first belief.
    initial: (key, true first state) -> mean `[X]` of the first belief; drawn from
        `initial_std` when not given.
    origin: the vector block that moves with the world's origin ("position"), or "".
    frame: state `[X]` -> `[D, D]` that turns a student's correction into a tangent vector;
        the identity when not given.
    features: (state `[X]`, mean input of the last interval `[U]`) -> `[n]`, what a student
        sees besides innovations; the inputs and the non-origin state when not given.
    constants: figures of this robot that reports and exports should name.
    """

    name: str
    summary: str
    space: StateSpace
    inputs: tuple[Channel, ...]
    sensors: tuple[Sensor, ...]
    tick_hz: float
    process: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    process_noise: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    world: Callable[[jax.Array, int], tuple[jax.Array, jax.Array]]
    initial_std: tuple[float, ...]
    initial: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    origin: str = ""
    frame: Callable[[jax.Array], jax.Array] | None = None
    features: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    constants: dict[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse descriptions that contradict themselves."""
        if not self.tick_hz > 0:
            raise ValueError(f"tick_hz must be positive, got {self.tick_hz}")
        if len(self.initial_std) != self.space.tangent_dim:
            raise ValueError(
                f"initial_std must have {self.space.tangent_dim} values, one per tangent "
                f"dimension, got {len(self.initial_std)}"
            )
        if not all(s > 0 for s in self.initial_std):
            raise ValueError("every initial_std must be positive: it is a standard deviation")
        for sensor in self.sensors:
            ratio = self.event_hz / sensor.rate_hz
            if abs(ratio - round(ratio)) > 1e-9:
                raise ValueError(
                    f"{sensor.name}: rate_hz {sensor.rate_hz} must divide the fastest "
                    f"correcting sensor's rate {self.event_hz}"
                )
        ratio = self.tick_hz / self.event_hz
        if abs(ratio - round(ratio)) > 1e-9:
            raise ValueError(f"event rate {self.event_hz} Hz must divide tick_hz {self.tick_hz}")

    @property
    def event_hz(self) -> float:
        """Events per second: the rate of the fastest correcting sensor."""
        return max(sensor.rate_hz for sensor in self.sensors)

    @property
    def ticks_per_event(self) -> int:
        """K, in simulated drives."""
        return round(self.tick_hz / self.event_hz)

    @cached_property
    def sensor_of(self) -> np.ndarray:
        """`[Z]` index of the sensor that each measurement column belongs to."""
        return np.repeat(np.arange(len(self.sensors)), [s.size for s in self.sensors])

    @cached_property
    def sigma(self) -> np.ndarray:
        """`[Z]` standard deviation of each measurement."""
        return np.concatenate([s.sigma for s in self.sensors])

    @cached_property
    def angular(self) -> np.ndarray:
        """`[Z]` whether each measurement is an angle."""
        return np.repeat([s.angular for s in self.sensors], [s.size for s in self.sensors])

    @cached_property
    def origin_columns(self) -> np.ndarray:
        """`[Z]` component of the origin block that each measurement reads, -1 for none."""
        columns = [
            np.arange(s.size) if self.origin and s.reads == self.origin else np.full(s.size, -1)
            for s in self.sensors
        ]
        return np.concatenate(columns)

    def measure(self, x: jax.Array) -> jax.Array:
        """`h`: ideal readings `[Z]` of all sensors in state `[X]`."""
        return jnp.concatenate([sensor.measure(x) for sensor in self.sensors])

    def innovation(self, z: jax.Array, expected: jax.Array) -> jax.Array:
        """Return z minus its expectation `[Z]`, angles wrapped."""
        d = z - expected
        return jnp.where(self.angular, wrap(d), d) if self.angular.any() else d

    def mask(self, seen: jax.Array) -> jax.Array:
        """Spread `[S]` seen flags over the measurement columns `[Z]`."""
        return seen[..., self.sensor_of]

    def student_features(self, x: jax.Array, u_mean: jax.Array) -> jax.Array:
        """What a student sees of its own state and of the last inputs, `[n]`."""
        if self.features is not None:
            return self.features(x, u_mean)
        parts = [x[self.space.state_slice(b.name)] for b in self.space.blocks]
        parts = [
            jnp.concatenate([jnp.cos(p), jnp.sin(p)]) if b.kind == "angle" else p
            for b, p in zip(self.space.blocks, parts, strict=True)
            if b.name != self.origin
        ]
        return jnp.concatenate([u_mean, *parts])

    def correction_frame(self, x: jax.Array) -> jax.Array:
        """`[D, D]` that turns a student's correction into a tangent vector at x."""
        return jnp.eye(self.space.tangent_dim, dtype=x.dtype) if self.frame is None else self.frame(x)


def sims_folder() -> Path:
    """Where the shipped sims lie: inside an installed wheel, or beside the package."""
    here = Path(__file__).resolve().parent
    for folder in (here / "sims", here.parent / "sims"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("the folder of shipped sims is missing; reinstall kalmanrnn")
