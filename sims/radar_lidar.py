"""One moving object, seen by a lidar and a radar at the world's origin that take turns.

Nothing on the object is measured, so there are no inputs: it is taken to keep its speed and its
turn rate, and the process noise says for how long. The truth changes both smoothly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kalmanrnn.manifold import Block, StateSpace, wrap
from kalmanrnn.motion import curve, integrate
from kalmanrnn.scenario import Scenario
from kalmanrnn.sensors import Channel, Sensor

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
    """Return the direction of an angle."""
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def process(x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
    """Move along an arc; its chord points along the heading in the middle of the tick."""
    half = 0.5 * x[4] * dt
    chord = x[2] * dt * jnp.sinc(half / jnp.pi) * unit(x[3] + half)
    return jnp.concatenate([x[:2] + chord, x[2:3], wrap(x[3:4] + 2 * half), x[4:]])


def radar(x: jax.Array) -> jax.Array:
    """Read range, bearing and range rate; the 1 cm keeps their slopes finite at the radar."""
    away = jnp.sqrt(x[:2] @ x[:2] + 1e-4)
    rate = x[2] * (x[:2] @ unit(x[3])) / away
    return jnp.stack([away, jnp.arctan2(x[1], x[0]), rate])


SENSORS = (
    Sensor("lidar", LIDAR, 10.0, (0.15, 0.15), lambda x: x[:2]),
    Sensor("radar", RADAR, 10.0, (0.3, 0.03, 0.3), radar, (False, True, False), offset_s=0.05),
)


def world(key: jax.Array, ticks: int) -> tuple[jax.Array, jax.Array]:
    """Draw an object's way: 3 to 7 m/s, turning at up to about 60 deg/s; no inputs."""
    fast_key, turn_key, draw_key = jax.random.split(key, 3)
    fast, turning = curve(fast_key, ticks, 0.05, 3.0), curve(turn_key, ticks, 0.05, 4.0)
    draw = jax.random.uniform(draw_key, (5,), minval=-1.0)
    speed, swing = SPEED + 2.0 * draw[0] + 0.3 * fast[0], 1.5 + 0.5 * draw[1]
    heading = jnp.pi * draw[2] + swing * turning[0]
    first = (1.0 + 20.0 * draw[3] ** 2) * unit(jnp.pi * draw[4])
    position = first[:, None] + integrate(speed * unit(heading), 0.05)
    rest = jnp.stack([speed, wrap(heading), swing * turning[1]])[:, ::2]
    return jnp.concatenate([position, rest]).T, jnp.zeros((ticks, 0))


def start(z: jax.Array, seen: jax.Array | None) -> jax.Array:
    """Begin at the lidar's first reading, at the usual speed, straight along x."""
    return jnp.concatenate([z[:2], jnp.array([SPEED, 0.0, 0.0])])


def initial(key: jax.Array, truth: jax.Array) -> jax.Array:
    """Draw what `start` would give to an object that drives within 90 degrees of x."""
    off = jnp.array([0.5, 0.5, jnp.pi / 2]) * jax.random.uniform(key, (3,), minval=-1.0)
    return start(truth[:2] + off[:2], None).at[3].set(wrap(truth[3] + off[2]))


def turn(x: jax.Array, z: jax.Array, angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """See state and readings in a world turned about the sensors; fourth in both is an angle."""
    matrix = jnp.stack([unit(angle), unit(angle + jnp.pi / 2)], axis=1)
    x, z = (jnp.concatenate([matrix @ a[:2], a[2:].at[1].add(angle)]) for a in (x, z))
    return x, z


def features(x: jax.Array, u_mean: jax.Array) -> jax.Array:
    """Show a student what the radar would read, and how the object moves."""
    r = radar(x)
    return jnp.concatenate([jnp.log(r[:1]), unit(r[1]), r[2:], unit(x[3]), x[2:3], x[4:]])


def make(acceleration_density: float = 0.15, turn_density: float = 0.1) -> Scenario:
    """Make the scenario; densities are white, in m/s^2/sqrt(Hz) and rad/s^2/sqrt(Hz)."""

    def process_noise(x, u, dt):
        return jnp.array([0, 0, acceleration_density**2, 0, turn_density**2], x.dtype) * dt

    return Scenario(
        name="radar_lidar",
        summary="one moving object, tracked by a lidar and a radar that take turns",
        space=StateSpace(BLOCKS),
        inputs=(),
        sensors=SENSORS,
        tick_hz=20.0,
        process=process,
        process_noise=process_noise,
        world=world,
        initial_std=(0.3, 0.3, 1.2, 0.9, 0.35),
        initial=initial,
        start=start,
        features=features,
        turn=turn,
    )


SCENARIO = make()
