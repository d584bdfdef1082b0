"""A scenario: one description of a robot, from which everything else follows.

A scenario file is Python and exports `SCENARIO`; bundled ones and a user's own are loaded the
same way. The file is code and runs as such: load only files you trust.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.core.state_space import StateSpace, wrap
from kalmanrnn.scenarios.catalogue import sims_folder
from kalmanrnn.scenarios.loading import load_object
from kalmanrnn.scenarios.sensors import Channel, Sensor, event_rate


@dataclass(frozen=True)
class Scenario:
    """One description of a robot.

    process: `f`, (state `[X]`, input `[U]`, dt [s]) -> state `[X]`.
    process_noise: (state, input, dt) -> what one tick adds to the covariance: variances `[D]`,
        or a full covariance `[D, D]`.
    simulate_truth: (key, ticks) -> (true states `[ticks + 1, X]`, measured inputs `[ticks, U]`).
        Use finer steps than `process`, or the comparison flatters the filter.
    initial_std: `[D]` standard deviations of the initial belief.
    sample_initial: (key, true initial state) -> mean `[X]` of the initial belief in simulation;
        by default the truth with errors of `initial_std`.
    initialise: (readings `[Z]`, seen `[S]`) of a log's first event -> mean `[X]` of the initial
        belief, unless the log's map gives one; `sample_initial` should resemble it.
    origin: the vector block that moves with the world's origin ("position"), or "".
    frame: state `[X]` -> orthogonal `[D, D]` that rotates a student's correction into a tangent
        vector; by default the identity.
    features: (state `[X]`, mean input of the last interval `[U]`) -> `[n]`, what a student sees
        besides innovations; by default the inputs and the state without its origin block.
    yaw_symmetry: (state, readings `[Z]`, angle [rad]) -> both as seen in a world rotated about
        its vertical; give it where nothing depends on north. Training drives are then rotated
        at random.
    constants: numbers of this robot to name in reports and exports.
    """

    name: str
    summary: str
    space: StateSpace
    inputs: tuple[Channel, ...]
    sensors: tuple[Sensor, ...]
    tick_hz: float
    process: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    process_noise: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    simulate_truth: Callable[[jax.Array, int], tuple[jax.Array, jax.Array]]
    initial_std: tuple[float, ...]
    sample_initial: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    initialise: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    origin: str = ""
    frame: Callable[[jax.Array], jax.Array] | None = None
    features: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    yaw_symmetry: (
        Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]] | None
    ) = None
    constants: dict[str, float] = field(default_factory=dict, hash=False)
    # Name or file and settings that `load_scenario` read it from; `replace` does not copy it.
    source: tuple[str, tuple[str, ...]] | None = field(
        default=None, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        """Refuse contradictory descriptions."""
        if not self.tick_hz > 0:
            raise ValueError(f"tick_hz must be positive, got {self.tick_hz}")
        if len(self.initial_std) != self.space.tangent_dim:
            raise ValueError(
                f"initial_std must have {self.space.tangent_dim} values, one per tangent "
                f"dimension, got {len(self.initial_std)}"
            )
        if not all(0 < s < np.inf for s in self.initial_std):
            raise ValueError(
                "the initial covariance is not positive definite: every initial_std must be "
                f"positive and finite, got {self.initial_std}"
            )
        fastest = max(sensor.rate_hz for sensor in self.sensors)
        for sensor in self.sensors:
            ratio = fastest / sensor.rate_hz
            if abs(ratio - round(ratio)) > 1e-9:
                raise ValueError(
                    f"{sensor.name}: rate_hz {sensor.rate_hz} must divide the fastest "
                    f"correcting sensor's rate {fastest}"
                )
        ratio = self.tick_hz / self.event_hz
        if abs(ratio - round(ratio)) > 1e-9:
            raise ValueError(f"event rate {self.event_hz} Hz must divide tick_hz {self.tick_hz}")

    @cached_property
    def event_hz(self) -> float:
        """Events per second: the slowest clock that every sensor's period and offset fit.

        Without offsets that is the fastest sensor's rate.
        """
        return event_rate(self.sensors, self.tick_hz)

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
        return np.concatenate([np.broadcast_to(s.angular, s.size) for s in self.sensors])

    @cached_property
    def origin_columns(self) -> np.ndarray:
        """`[Z]` component of the origin block that each measurement reads, -1 for none."""
        columns = [
            np.arange(s.size) if self.origin and s.observes == self.origin else np.full(s.size, -1)
            for s in self.sensors
        ]
        return np.concatenate(columns)

    def measure(self, x: jax.Array) -> jax.Array:
        """Return `h`, the ideal readings `[Z]` of all sensors in state `[X]`."""
        return jnp.concatenate([sensor.measure(x) for sensor in self.sensors])

    def innovation(self, z: jax.Array, expected: jax.Array) -> jax.Array:
        """Return z minus its expectation `[Z]`, angles wrapped."""
        d = z - expected
        return jnp.where(self.angular, wrap(d), d) if self.angular.any() else d

    def noise_matrix(self, x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
        """Return `Q`: what one tick adds to the covariance, `[D, D]`."""
        noise = self.process_noise(x, u, dt)
        return jnp.diag(noise) if noise.ndim == 1 else noise

    def mask(self, seen: Any) -> Any:
        """Spread `[S]` seen flags over the measurement columns `[Z]`."""
        # Slices, not an index array: jax 0.10 keeps a parsed index across its two precisions.
        columns = [seen[..., i : i + 1] for i in self.sensor_of]
        concatenate = np.concatenate if isinstance(seen, np.ndarray) else jnp.concatenate
        return concatenate(columns, axis=-1)

    def student_features(self, x: jax.Array, u_mean: jax.Array) -> jax.Array:
        """Return a student's features `[n]` of its own state and the last inputs."""
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
        """Return `[D, D]`, which rotates a student's correction into a tangent vector at x."""
        if self.frame is not None:
            return self.frame(x)
        return jnp.eye(self.space.tangent_dim, dtype=x.dtype)


def load_scenario(
    name_or_path: str | Path, settings: Sequence[str] = (), **params: Any
) -> Scenario:
    """Load a bundled scenario by name or a file ending in .py, with parameters for its `make`.

    settings: `name=value` strings, converted to the type of make's default; params: values,
    strings among them converted likewise. Raises UserError.
    """

    def check(made: Any) -> None:
        if isinstance(made, Scenario):
            check_models(made)

    path, made = load_object(name_or_path, settings, params, check)
    if isinstance(made, Scenario):
        name = str(path) if str(name_or_path).endswith(".py") else str(name_or_path)
        given = (*settings, *(f"{key}={_as_setting(value)}" for key, value in params.items()))
        object.__setattr__(made, "source", (name, given))
        return made
    if made is not None and type(made).__name__ == "SequenceTask":
        raise UserError(
            f"{path.stem} is a sequence task, not a robot",
            why="it has no filter, which this command needs",
            cure=f"kalmanrnn train --sim {name_or_path}",
        )
    raise UserError(
        f"{path.name} describes no robot",
        why="it exports no SCENARIO made by kalmanrnn.scenarios.Scenario(...)",
        cure=f"end it with `SCENARIO = make()`, as {sims_folder() / 'rover.py'} does",
    )


def _as_setting(value: Any) -> str:
    """Write a value as `--set name=value` reads it."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def check_models(scenario: Scenario) -> None:
    """Evaluate the models once, at the identity state; ValueError if no filter could run."""
    with jax.enable_x64(True):
        x = jnp.asarray(scenario.space.identity())
        u, dt = jnp.zeros(len(scenario.inputs)), jnp.asarray(1 / scenario.tick_hz)
        after = jax.eval_shape(scenario.process, x, u, dt).shape
        readings = jax.eval_shape(scenario.measure, x).shape
        q = np.asarray(scenario.process_noise(x, u, dt))
    d = scenario.space.tangent_dim
    if after != x.shape:
        raise ValueError(f"process must return the state's {x.shape}, got {after}")
    if readings != scenario.sigma.shape:
        raise ValueError(f"the sensors' measure must give {scenario.sigma.shape}, got {readings}")
    if q.shape not in ((d,), (d, d)):
        raise ValueError(f"process_noise must return [{d}] or [{d}, {d}], got {q.shape}")
    if not np.isfinite(q).all():
        raise ValueError("process_noise is not finite at the identity state")
    least = q.min() if q.ndim == 1 else np.linalg.eigvalsh(0.5 * (q + q.T)).min()
    if least < -1e-12 * np.abs(q).max() or (q.ndim == 2 and not np.allclose(q, q.T)):
        raise ValueError(
            f"process_noise must be symmetric and positive semidefinite; its least eigenvalue is "
            f"{least:.3g}"
        )
