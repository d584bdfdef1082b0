"""Planar robot: two wheel speeds, gyro, accelerometer, compass and GPS give x, y, heading.

Seven readings in, three numbers out. Wheel speeds, gyro and forward acceleration move the state
at every tick; compass (10 Hz) and GPS (5 Hz) correct it. Speed is not a state: the accelerometer
only says how far to trust the wheels, which slip when the robot accelerates or brakes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kalmanrnn.core.state_space import Block, StateSpace, wrap
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Compass, Gps
from kalmanrnn.scenarios.trajectories import integrate, random_spline, smoothstep

SPACE = StateSpace((Block("position", size=2, unit="m"), Block("heading", "angle", unit="deg")))
INPUTS = (
    Channel("wheel_left", "m/s"),
    Channel("wheel_right", "m/s"),
    Channel("gyro_z", "rad/s"),
    Channel("accel_forward", "m/s^2"),
)


def motion(key: jax.Array, ticks: int, dt: float) -> tuple[jax.Array, jax.Array]:
    """Draw smooth driving: states `[ticks + 1, 3]` and ideal readings `[3, ticks]`.

    Speed 0 to 3 m/s with stops; the readings are speed, turn rate and forward acceleration in
    the middle of each tick.
    """
    fast_key, turn_key, start_key, heading_key, swing_key = jax.random.split(key, 5)
    fast, turn = random_spline(fast_key, ticks, dt, 4.0), random_spline(turn_key, ticks, dt, 3.0)
    start = jax.random.uniform(start_key, (2, 1), minval=-100.0, maxval=100.0)
    heading = jax.random.uniform(heading_key, minval=-jnp.pi, maxval=jnp.pi)
    swing = jax.random.uniform(swing_key, minval=0.3, maxval=1.5)
    speed, accel = jax.jvp(lambda c: 3.0 * smoothstep(0.5 + 0.4 * c), (fast[0],), (fast[1],))
    heading = heading + swing * turn[0]
    velocity = speed * jnp.stack([jnp.cos(heading), jnp.sin(heading)])
    position = start + integrate(velocity, dt)
    states = jnp.concatenate([position, wrap(heading[None, ::2])]).T
    return states, jnp.stack([speed, swing * turn[1], accel])[:, 1::2]


def yaw_symmetry(x: jax.Array, z: jax.Array, angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rotate state and readings (compass, east, north) about the vertical."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    matrix = jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])])
    return (
        jnp.concatenate([matrix @ x[:2], wrap(x[2:] + angle)]),
        jnp.concatenate([wrap(z[:1] + angle), matrix @ z[1:]]),
    )


def make(
    tick_hz: float = 50.0,
    track_m: float = 0.5,
    wheel_sigma: float = 0.05,
    slip_s: float = 0.3,
    gyro_sigma: float = 0.02,
    accel_sigma: float = 0.1,
    compass_hz: float = 10.0,
    compass_sigma_rad: float = 0.1,
    gps_hz: float = 5.0,
    gps_sigma_m: tuple[float, float] = (1.0, 1.0),
    dropout: float = 0.0,
) -> Scenario:
    """Make the scenario; sigmas are those of one reading, in m/s, rad/s and m/s^2.

    A wheel slips by `slip_s` times the forward acceleration, one sigma, on top of its noise.
    """

    def wheel_variance(accel):
        return wheel_sigma**2 + slip_s**2 * accel**2

    def turning(u):
        """Return the turn rate and its variance: gyro and wheels, each by its precision."""
        wheels = 2 * wheel_variance(u[3]) / track_m**2
        variance = 1 / (1 / gyro_sigma**2 + 1 / wheels)
        return variance * (u[2] / gyro_sigma**2 + (u[1] - u[0]) / track_m / wheels), variance

    def process(x, u, dt):
        speed, rate = 0.5 * (u[0] + u[1]), turning(u)[0]
        middle = x[2] + 0.5 * rate * dt
        move = speed * dt * jnp.stack([jnp.cos(middle), jnp.sin(middle)])
        return jnp.concatenate([x[:2] + move, wrap(x[2:] + rate * dt)])

    def process_noise(x, u, dt):
        """Add wheel noise along the heading and turn-rate noise about the vertical."""
        way = jnp.stack([jnp.cos(x[2]), jnp.sin(x[2]), jnp.zeros_like(x[2])])
        about = jnp.zeros_like(x).at[2].set(1.0)
        along = 0.5 * wheel_variance(u[3]) * jnp.outer(way, way)
        return (along + turning(u)[1] * jnp.outer(about, about)) * dt**2

    def simulate_truth(key, ticks):
        motion_key, noise_key = jax.random.split(key)
        states, (speed, rate, accel) = motion(motion_key, ticks, 1 / tick_hz)
        white = jax.random.normal(noise_key, (4, ticks))
        wheel = jnp.sqrt(wheel_variance(accel))
        left = speed - 0.5 * track_m * rate + wheel * white[0]
        right = speed + 0.5 * track_m * rate + wheel * white[1]
        gyro, forward = rate + gyro_sigma * white[2], accel + accel_sigma * white[3]
        return states, jnp.stack([left, right, gyro, forward], axis=1)

    return Scenario(
        name="rover",
        summary="planar robot with wheels, gyro, accelerometer, compass and GPS",
        space=SPACE,
        inputs=INPUTS,
        sensors=(
            Compass(compass_hz, compass_sigma_rad, measure=lambda x: x[2:]),
            Gps(gps_hz, gps_sigma_m, measure=lambda x: x[:2], dropout=dropout),
        ),
        tick_hz=tick_hz,
        process=process,
        process_noise=process_noise,
        simulate_truth=simulate_truth,
        initial_std=(2.0, 2.0, 0.2),
        origin="position",
        yaw_symmetry=yaw_symmetry,
    )


SCENARIO = make()
