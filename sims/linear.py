"""2-D constant velocity, position measured: every filter must equal the textbook's.

The only bundled scenario whose truth follows the filter's own model exactly. It is linear and
Gaussian, so the Kalman filter is optimal and no student can beat it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Gps

SPACE = StateSpace((Block("position", size=2, unit="m"), Block("velocity", size=2, unit="m/s")))


def process(x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
    """Move at constant velocity; there are no inputs."""
    return jnp.concatenate([x[:2] + x[2:] * dt, x[2:]])


def make(
    tick_hz: float = 10.0,
    gps_hz: float = 10.0,
    gps_sigma_m: tuple[float, float] = (1.0, 1.0),
    acceleration_density: float = 0.5,
    dropout: float = 0.0,
) -> Scenario:
    """Make the scenario; `acceleration_density` is white [m/s^2/sqrt(Hz)]."""
    std = (5.0, 5.0, 2.0, 2.0)

    def process_noise(x, u, dt):
        """Integrate white acceleration exactly (Bar-Shalom 2001, eq. 6.2.2-4)."""
        dt = jnp.asarray(dt, x.dtype)
        corner = jnp.stack([jnp.stack([dt**3 / 3, dt**2 / 2]), jnp.stack([dt**2 / 2, dt])])
        return acceleration_density**2 * jnp.kron(corner, jnp.eye(2, dtype=x.dtype))

    def simulate_truth(key, ticks):
        start_key, noise_key = jax.random.split(key)
        dt = jnp.asarray(1 / tick_hz)
        x = jnp.asarray(std) * jax.random.normal(start_key, (4,))
        root = jnp.linalg.cholesky(process_noise(x, None, dt))

        def tick(x, white):
            x = process(x, white, dt) + root @ white
            return x, x

        _, after = jax.lax.scan(tick, x, jax.random.normal(noise_key, (ticks, 4)))
        return jnp.concatenate([x[None], after]), jnp.zeros((ticks, 0))

    return Scenario(
        name="linear",
        summary="2-D constant velocity, position measured",
        space=SPACE,
        inputs=(),
        sensors=(Gps(gps_hz, gps_sigma_m, measure=lambda x: x[:2], dropout=dropout),),
        tick_hz=tick_hz,
        process=process,
        process_noise=process_noise,
        simulate_truth=simulate_truth,
        initial_std=std,
        origin="position",
    )


SCENARIO = make()
