"""Search the initial heading: run the filter from each one, keep the most likely.

Multiple-model adaptive estimation (Magill 1965) with the initial heading as the unknown; for
robots too slow for their GPS's course to be a heading.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.filters.ekf import FilterEstimate, ekf
from kalmanrnn.filters.rollout import rollout_drive
from kalmanrnn.scenarios.scenario import Scenario

STEP_DEG = 10.0
WINDOW_S = 60.0
MIN_MARGIN = 5.0


class HeadingSearch(NamedTuple):
    """The most likely initial state `[X]`, the angle it was turned by [rad], and its margin.

    margin: log likelihood above the best heading more than 60 degrees away; above `MIN_MARGIN` the
    heading is known. seconds: how much of the log was used.
    """

    mean: np.ndarray
    angle: float
    margin: float
    seconds: float


def find_heading(
    scenario: Scenario, mean: np.ndarray, keep: tuple[str, ...], drive: Drive
) -> HeadingSearch:
    """Turn an initial state about the vertical to where the log's first minute is most likely.

    keep: blocks that are known and do not turn. The drive has no batch axis.
    """
    late = int(np.searchsorted(drive.t, drive.t[0] + WINDOW_S))
    packets = jax.tree.map(lambda a: np.asarray(a)[: max(late, 2)], drive.packets)
    coarse = np.radians(np.arange(-180.0, 180.0, STEP_DEG))
    with jax.enable_x64(True):
        run = partial(_likelihoods, scenario, keep, np.asarray(mean), packets)
        found = np.asarray(run(coarse))
        best = coarse[int(found.argmax())]
        # As many as before: one shape, one compilation.
        fine = best + np.radians(np.linspace(-STEP_DEG, STEP_DEG, coarse.size))
        closer = np.asarray(run(fine))
        angle = float(fine[int(closer.argmax())])
        state = np.asarray(_rotated(scenario, keep, jnp.asarray(mean), jnp.asarray(angle)))
    away = np.abs((coarse - angle + np.pi) % (2 * np.pi) - np.pi) > np.radians(60.0)
    looked = float(drive.t[min(late, len(drive.t)) - 1] - drive.t[0])
    return HeadingSearch(state, angle, float(closer.max() - found[away].max()), looked)


@partial(jax.jit, static_argnums=(0, 1))
def _likelihoods(
    scenario: Scenario, keep: tuple[str, ...], mean: jax.Array, packets: Packet, angles: jax.Array
) -> jax.Array:
    """Return the log likelihood `[n]` of the packets for each angle of the initial state."""
    cov = jnp.diag(jnp.asarray(scenario.initial_std) ** 2)
    filtered = ekf(scenario)

    def one(angle):
        belief = Belief(_rotated(scenario, keep, mean, angle), cov)
        estimates: FilterEstimate = rollout_drive(
            filtered, Drive(packets.dt, packets, belief, None)
        )
        root = jnp.linalg.cholesky(estimates.innovation_cov)
        white = jax.vmap(partial(jax.scipy.linalg.solve_triangular, lower=True))
        nis = jnp.sum(white(root, estimates.innovation) ** 2)
        # Unseen columns have innovation 0 and variance 1: they add nothing.
        return -0.5 * nis - jnp.sum(jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)))

    found = jax.lax.map(one, angles)
    return jnp.where(jnp.isfinite(found), found, -1e300)


def _rotated(
    scenario: Scenario, keep: tuple[str, ...], x: jax.Array, angle: jax.Array
) -> jax.Array:
    assert scenario.yaw_symmetry is not None
    after, _ = scenario.yaw_symmetry(x, jnp.zeros(scenario.sigma.size), angle)
    for name in keep:
        part = scenario.space.state_slice(name)
        after = after.at[part].set(x[part])
    return after
