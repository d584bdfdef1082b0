"""Training drives changed at random: rotated in yaw, with outages.

A filter's estimate rotates with the world, so one run of the teacher teaches every heading.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import DataConfig
from kalmanrnn.core.datatypes import Belief, Drive
from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.scenarios.scenario import Scenario


@partial(jax.jit, static_argnums=0)
def rotate_yaw(
    scenario: Scenario, drives: Drive, run: FilterEstimate, angles: jax.Array
) -> tuple[Drive, FilterEstimate]:
    """Rotate a batch of drives and runs about the vertical, each by its own angle `[B]` [rad]."""
    return jax.vmap(partial(_rotate_one, scenario))(drives, run, angles)


def _rotate_one(
    scenario: Scenario, drive: Drive, run: FilterEstimate, angle: jax.Array
) -> tuple[Drive, FilterEstimate]:
    turn, space = scenario.yaw_symmetry, scenario.space
    assert turn is not None
    start, no_reading = drive.belief.mean, drive.packets.z[0]
    states = jax.vmap(lambda x: turn(x, no_reading, angle)[0])
    centre = turn(start, no_reading, angle)[0]
    tangent = jax.jacfwd(
        lambda d: space.difference(turn(space.retract(start, d), no_reading, angle)[0], centre)
    )(jnp.zeros(space.tangent_dim, start.dtype))
    reading = jax.jacfwd(lambda z: turn(start, z, angle)[1])(no_reading)
    z = jax.vmap(lambda z: turn(start, z, angle)[1])(drive.packets.z)
    drive = drive._replace(
        packets=drive.packets._replace(z=z),
        belief=Belief(centre, tangent @ drive.belief.cov @ tangent.T),
        truth=states(drive.truth),
    )
    run = run._replace(
        mean=states(run.mean),
        prior=states(run.prior),
        cov=tangent @ run.cov @ tangent.T,
        innovation=run.innovation @ reading.T,
        innovation_cov=reading @ run.innovation_cov @ reading.T,
        gain=tangent @ run.gain @ reading.T,
    )
    return drive, run


def random_outages(drives: Drive, data: DataConfig, seed: int, index: int) -> Drive:
    """Cut an outage of one sensor into a share of the drives of set `index`."""
    rng = random_stream(seed, Stream.OUTAGES, index)
    seen, t = np.array(drives.packets.seen), np.asarray(drives.t)
    count, _, sensors = seen.shape
    length = rng.uniform(0.0, data.max_outage_s, (count, 1))
    start = rng.uniform(0.0, 1.0, (count, 1)) * np.maximum(t[:, -1:] - length, 0.0)
    hit = (t >= start) & (t < start + length) & (rng.random((count, 1)) < data.outage_share)
    which = rng.integers(sensors, size=(count, 1, 1)) == np.arange(sensors)
    return drives._replace(packets=drives.packets._replace(seen=seen & ~(hit[..., None] & which)))
