"""Your own robot, built right here: a trolley on a rail with a speed sensor and a beacon.

A scenario need not be a file: build it in a notebook, simulate it, and filter it.
"""

import jax
import jax.numpy as jnp

import kalmanrnn as kr
from kalmanrnn.scenarios.trajectories import integrate, random_spline

TICK_HZ, BEACON_M, WHEEL = 20.0, 0.3, 0.1


def simulate_truth(key: jax.Array, ticks: int) -> tuple[jax.Array, jax.Array]:
    """Draw a speed that changes smoothly, and wheels that read it badly."""
    speed_key, noise_key = jax.random.split(key)
    speed = 1.0 + 0.5 * random_spline(speed_key, ticks, 1 / TICK_HZ, 3.0)[0]
    position = integrate(speed[None], 1 / TICK_HZ)[0]
    wheel = speed[1::2] + WHEEL * jax.random.normal(noise_key, (ticks,))
    return position[:, None], wheel[:, None]


trolley = kr.Scenario(
    name="trolley",
    summary="a trolley on a rail: wheel speed 20 Hz, beacon 2 Hz",
    space=kr.StateSpace((kr.Block("position", size=1, unit="m"),)),
    inputs=(kr.Channel("wheel", "m/s"),),
    sensors=(kr.Sensor("beacon", (kr.Channel("beacon", "m"),), 2.0, (BEACON_M,), lambda x: x),),
    tick_hz=TICK_HZ,
    process=lambda x, u, dt: x + u * dt,
    process_noise=lambda x, u, dt: jnp.full(1, WHEEL**2) * dt**2,
    simulate_truth=simulate_truth,
    initial_std=(1.0,),
)
drives = kr.simulate(trolley, count=32, seconds=30, seed=0)
estimates = {name: kr.run_filter(trolley, drives, name) for name in ("dead_reckoning", "ukf")}
result = kr.evaluate(trolley, drives, **estimates)
for name, errors in result.rmse.items():
    print(f"{name}: {errors['position']:.3f} {result.units['position']}")
