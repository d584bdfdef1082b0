"""One moving object, tracked by a lidar and a radar at the world's origin that take turns.

Nothing on the object is measured, so there are no inputs: the model keeps speed and turn rate,
and the process noise says how fast they change. The truth changes both smoothly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kalmanrnn.core.state_space import Block, StateSpace, wrap
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Sensor
from kalmanrnn.scenarios.trajectories import integrate, random_spline

SPEED = 5.0
BLOCKS = (
    Block("position", size=2, unit="m"),
    Block("speed", size=1, unit="m/s"),
    Block("heading", "angle", unit="deg"),
    Block("turn_rate", size=1, unit="deg/s"),
)
LIDAR = (Channel("lidar_x", "m"), Channel("lidar_y", "m"))
RADAR = (Channel("range", "m"), Channel("bearing", "rad"), Channel("range_rate", "m/s"))


def unit(angle: jax.Array) -> jax.Array:
    """Return the unit vector of an angle."""
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def process(x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
    """Move along an arc; its chord points along the heading in the middle of the tick."""
    half = 0.5 * x[4] * dt
    chord = x[2] * dt * jnp.sinc(half / jnp.pi) * unit(x[3] + half)
    return jnp.concatenate([x[:2] + chord, x[2:3], wrap(x[3:4] + 2 * half), x[4:]])


def radar(x: jax.Array) -> jax.Array:
    """Return range, bearing, range rate; the 1 cm keeps their Jacobian finite at the radar."""
    away = jnp.sqrt(x[:2] @ x[:2] + 1e-4)
    return jnp.stack([away, jnp.arctan2(x[1], x[0]), x[2] * (x[:2] @ unit(x[3])) / away])


SENSORS = (
    Sensor("lidar", LIDAR, 10.0, (0.15, 0.15), lambda x: x[:2]),
    Sensor("radar", RADAR, 10.0, (0.3, 0.03, 0.3), radar, (False, True, False), offset_s=0.05),
)


def simulate_truth(key: jax.Array, ticks: int) -> tuple[jax.Array, jax.Array]:
    """Draw an object's motion: 3 to 7 m/s, turning at up to about 60 deg/s; no inputs."""
    *keys, draw_key = jax.random.split(key, 3)
    fast, turning = (random_spline(k, ticks, 0.05, 4.0) for k in keys)
    draw = jax.random.uniform(draw_key, (4,), minval=-1.0)
    speed, heading = SPEED + 2.0 * draw[0] + 0.3 * fast[0], jnp.pi * draw[1] + 1.5 * turning[0]
    first = (1.0 + 20.0 * draw[2] ** 2) * unit(jnp.pi * draw[3])
    position = first[:, None] + integrate(speed * unit(heading), 0.05)
    rest = jnp.stack([speed, wrap(heading), 1.5 * turning[1]])[:, ::2]
    return jnp.concatenate([position, rest]).T, jnp.zeros((ticks, 0))


def initialise(z: jax.Array, seen: jax.Array) -> jax.Array:
    """Start at the lidar's first reading, at the usual speed, along x."""
    return jnp.concatenate([z[:2], jnp.array([SPEED, 0.0, 0.0])])


def sample_initial(key: jax.Array, truth: jax.Array) -> jax.Array:
    """Draw what `initialise` would return for an object heading within 60 degrees of x."""
    off = jnp.array([0.5, 0.5, jnp.pi / 3]) * jax.random.uniform(key, (3,), minval=-1.0)
    return initialise(truth[:2] + off[:2], truth).at[3].set(wrap(truth[3] + off[2]))


def process_noise(x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
    """Let speed and turn rate drift: 0.15 m/s^2/sqrt(Hz), 0.1 rad/s^2/sqrt(Hz)."""
    return jnp.array([0.0, 0.0, 0.15**2, 0.0, 0.1**2], x.dtype) * dt


SCENARIO = Scenario(
    name="radar_lidar",
    summary="one moving object, tracked by a lidar and a radar that take turns",
    space=StateSpace(BLOCKS),
    inputs=(),
    sensors=SENSORS,
    tick_hz=20.0,
    process=process,
    process_noise=process_noise,
    simulate_truth=simulate_truth,
    initial_std=(0.3, 0.3, 1.2, 0.6, 0.35),
    sample_initial=sample_initial,
    initialise=initialise,
)
