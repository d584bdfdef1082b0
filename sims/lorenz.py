"""Lorenz's chaotic attractor at 50 Hz, measured directly or in spherical coordinates.

The benchmark of learned filters (KalmanNet, Revach et al. 2022, section IV-D): three states, no
inputs, noise in decibels. The filter's f is one Runge-Kutta step; the truth takes ten, with
noise in each. The literature's f, a series of exp(A(x) dt) with A held for the tick, is of first
order only: against this truth its filters are overconfident, with a NEES of 9 per dimension.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Sensor

TICK_HZ = 50.0
FINER = 10
SPACE = StateSpace((Block("state", size=3),))


def matrix(x: jax.Array) -> jax.Array:
    """Return A, where dx/dt = A(x) x."""
    zero = jnp.zeros_like(x[0])
    rows = [
        [zero - 10, zero + 10, zero],
        [zero + 28, zero - 1, -x[0]],
        [zero, x[0], zero - 8 / 3],
    ]
    return jnp.stack([jnp.stack(row) for row in rows])


def process(x: jax.Array, u: jax.Array | None, dt: jax.Array | float) -> jax.Array:
    """Take one classical Runge-Kutta step; there are no inputs."""
    k1 = matrix(x) @ x
    k2 = matrix(x + 0.5 * dt * k1) @ (x + 0.5 * dt * k1)
    k3 = matrix(x + 0.5 * dt * k2) @ (x + 0.5 * dt * k2)
    k4 = matrix(x + dt * k3) @ (x + dt * k3)
    return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def spherical(x: jax.Array) -> jax.Array:
    """Return azimuth and elevation [rad]."""
    flat = jnp.sqrt(x[0] ** 2 + x[1] ** 2 + 1e-12)
    return jnp.stack([jnp.arctan2(x[1], x[0]), jnp.arctan2(x[2], flat)])


def sensors(observation: str, sigma: float, dropout: float) -> tuple[Sensor, ...]:
    """Measure the state itself, or its range and direction."""
    if observation == "identity":
        channels = tuple(Channel(f"see_{axis}", "") for axis in "xyz")
        return (
            Sensor(
                "state",
                channels,
                TICK_HZ,
                (sigma,) * 3,
                lambda x: x,
                observes="state",
                dropout=dropout,
            ),
        )
    if observation != "spherical":
        raise ValueError(f"observation must be identity or spherical, got {observation!r}")
    angles = (Channel("azimuth", "rad"), Channel("elevation", "rad"))
    return (
        Sensor(
            "range",
            (Channel("range", ""),),
            TICK_HZ,
            (sigma,),
            lambda x: jnp.sqrt(x @ x + 1e-12)[None],
            dropout=dropout,
        ),
        Sensor(
            "direction", angles, TICK_HZ, (sigma,) * 2, spherical, angular=True, dropout=dropout
        ),
    )


def make(
    observation: Literal["identity", "spherical"] = "identity",
    r_db: float = 0.0,
    q_db: float = -20.0,
    dropout: float = 0.0,
) -> Scenario:
    """Make the scenario; r_db and q_db are the variances of a reading and of a tick's noise.

    Spherical readings are angles [rad] too, so r_db of -20 or less makes sense there.
    """
    q_variance = 10 ** (q_db / 10)

    def process_noise(x, u, dt):
        return jnp.full(3, q_variance * TICK_HZ, x.dtype) * dt

    def simulate_truth(key, ticks):
        start_key, noise_key = jax.random.split(key)
        step_s = 1 / (TICK_HZ * FINER)
        x = jnp.array([0.0, 0.0, 25.0]) + 5 * jax.random.normal(start_key, (3,))
        # Five seconds bring any start onto the attractor.
        x = jax.lax.fori_loop(0, 5 * 50 * FINER, lambda _, x: process(x, None, step_s), x)
        noise = jax.random.normal(noise_key, (ticks, FINER, 3)) * (q_variance / FINER) ** 0.5

        def tick(x, white):
            x, _ = jax.lax.scan(lambda x, w: (process(x, None, step_s) + w, None), x, white)
            return x, x

        _, after = jax.lax.scan(tick, x, noise)
        return jnp.concatenate([x[None], after]), jnp.zeros((ticks, 0))

    return Scenario(
        name="lorenz",
        summary="the chaotic attractor on which learned filters are compared",
        space=SPACE,
        inputs=(),
        sensors=sensors(observation, 10 ** (r_db / 20), dropout),
        tick_hz=TICK_HZ,
        process=process,
        process_noise=process_noise,
        simulate_truth=simulate_truth,
        initial_std=(1.0, 1.0, 1.0),
    )


SCENARIO = make()
