"""Planar robot: wheel odometry and a gyro at 54 Hz, and a position fix twice a second.

The robot of the CAOR's wifibot recordings (Mines ParisTech), which drives slowly through tight
curves. Its wheels slip a little sideways; the slip is not measured, so it is process noise.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kalmanrnn.core.state_space import Block, StateSpace, wrap
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Gps
from kalmanrnn.scenarios.trajectories import integrate, random_spline, smoothstep

SPACE = StateSpace((Block("position", size=2, unit="m"), Block("heading", "angle", unit="deg")))
INPUTS = (Channel("gyro", "rad/s"), Channel("vx", "m/s"))
# A spline of this size and knot time spreads like white noise of 0.05 m/s per reading at 54 Hz.
SLIP_S, SLIP_SHARE = 0.15, 0.22


def process(x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
    """Move along the heading in the middle of the tick."""
    middle = x[2] + 0.5 * u[0] * dt
    move = u[1] * dt * jnp.stack([jnp.cos(middle), jnp.sin(middle)])
    return jnp.concatenate([x[:2] + move, wrap(x[2:] + u[0] * dt)])


def yaw_symmetry(x: jax.Array, z: jax.Array, angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rotate state and fix about the vertical."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    matrix = jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])])
    return jnp.concatenate([matrix @ x[:2], wrap(x[2:] + angle)]), matrix @ z


def motion(key: jax.Array, ticks: int, dt: float, slip_sigma: float) -> tuple[jax.Array, jax.Array]:
    """Draw states `[ticks + 1, 3]` and ideal readings (turn rate, speed) `[2, ticks]`.

    Speed 0 to 0.6 m/s with stops, sometimes slowly backwards; turns up to 2 rad/s.
    """
    fast_key, turn_key, slip_key, draw_key = jax.random.split(key, 4)
    fast, turning = random_spline(fast_key, ticks, dt, 2.0), random_spline(turn_key, ticks, dt, 2.0)
    slip = SLIP_SHARE * slip_sigma * random_spline(slip_key, ticks, dt, SLIP_S)[0]
    draw = jax.random.uniform(draw_key, (5,), minval=-1.0)
    speed = 0.7 * smoothstep(0.5 + 0.4 * fast[0]) - 0.05
    swing = 0.6 + 0.5 * draw[0]
    steady = 0.4 * draw[1]
    seconds = 0.5 * dt * jnp.arange(2 * ticks + 1)
    heading = jnp.pi * draw[2] + swing * turning[0] + steady * seconds
    ahead = jnp.stack([jnp.cos(heading), jnp.sin(heading)])
    aside = jnp.stack([-ahead[1], ahead[0]])
    position = 5.0 * draw[3:, None] + integrate(speed * ahead + slip * aside, dt)
    states = jnp.concatenate([position, wrap(heading[None, ::2])]).T
    return states, jnp.stack([swing * turning[1] + steady, speed])[:, 1::2]


def make(
    tick_hz: float = 54.0,
    gyro_sigma: float = 0.15,
    speed_sigma: float = 0.15,
    slip_sigma: float = 0.05,
    fix_hz: float = 2.0,
    fix_sigma_m: tuple[float, float] = (0.1, 0.1),
    dropout: float = 0.0,
) -> Scenario:
    """Make the scenario; sigmas are those of one reading, in rad/s and m/s."""

    def process_noise(x, u, dt):
        """Add speed noise along the heading, slip across it, gyro noise about the vertical."""
        c, s, zero = jnp.cos(x[2]), jnp.sin(x[2]), jnp.zeros_like(x[2])
        along, across = jnp.stack([c, s, zero]), jnp.stack([-s, c, zero])
        about = jnp.zeros_like(x).at[2].set(1.0)
        parts = ((speed_sigma, along), (slip_sigma, across), (gyro_sigma, about))
        # A reading's noise is white at the odometry's rate, whatever the tick's length.
        return sum(sigma**2 * jnp.outer(way, way) for sigma, way in parts) * dt / tick_hz

    def simulate_truth(key, ticks):
        motion_key, noise_key = jax.random.split(key)
        states, ideal = motion(motion_key, ticks, 1 / tick_hz, slip_sigma)
        sigma = jnp.array([[gyro_sigma], [speed_sigma]])
        return states, (ideal + sigma * jax.random.normal(noise_key, ideal.shape)).T

    return Scenario(
        name="wifibot",
        summary="planar robot: wheel odometry and gyro at 54 Hz, position fixes at 2 Hz",
        space=SPACE,
        inputs=INPUTS,
        sensors=(Gps(fix_hz, fix_sigma_m, measure=lambda x: x[:2], dropout=dropout),),
        tick_hz=tick_hz,
        process=process,
        process_noise=process_noise,
        simulate_truth=simulate_truth,
        initial_std=(0.1, 0.1, 0.5236),
        origin="position",
        yaw_symmetry=yaw_symmetry,
    )


SCENARIO = make()
