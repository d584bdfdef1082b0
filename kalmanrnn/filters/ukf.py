"""The unscented Kalman filter on a manifold, for one drive; batch it with vmap.

Merwe's scaled sigma points (van der Merwe 2004, section 3.2). As in filterpy >= 2.0, sigma
points are redrawn from the predicted covariance before a correction. The mean is taken in the
tangent space at the propagated centre point.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Belief, Estimator, Packet
from kalmanrnn.filters.ekf import FilterEstimate, kalman_filter, kalman_gain
from kalmanrnn.scenarios.scenario import Scenario

# Sigma points are columns: the innermost loop is then long, and faster on CPU.
over_points = partial(jax.vmap, in_axes=1, out_axes=1)

ALPHA, BETA, KAPPA = 0.5, 2.0, 0.0


def merwe_weights(n: int) -> tuple[float, Any, Any]:
    """Return the squared spread n + lambda, and the mean and covariance weights `[2 n + 1]`."""
    spread = ALPHA**2 * (n + KAPPA)
    mean = np.full(2 * n + 1, 0.5 / spread)
    mean[0] = 1 - n / spread
    cov = mean.copy()
    cov[0] += 1 - ALPHA**2 + BETA
    return spread, mean, cov


def ukf(scenario: Scenario) -> Estimator:
    """Make the unscented Kalman filter of a scenario."""
    space = scenario.space
    spread, mean_weights, cov_weights = merwe_weights(space.tangent_dim)

    def sigma_tangents(cov: jax.Array) -> jax.Array:
        root = cholesky(spread * cov)
        return jnp.concatenate([jnp.zeros_like(root[:, :1]), root, -root], axis=1)

    def transform(values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean = values @ mean_weights
        deviation = values - mean[:, None]
        return mean, deviation, (cov_weights * deviation) @ deviation.T

    def correct(belief: Belief, packet: Packet) -> FilterEstimate:
        x, cov = belief
        seen = scenario.mask(packet.seen)
        expected = scenario.measure(x)
        tangents = sigma_tangents(cov)
        readings = over_points(
            lambda d: scenario.innovation(scenario.measure(space.retract(x, d)), expected)
        )(tangents)
        mean, deviation, s = transform(jnp.where(seen[:, None], readings, 0.0))
        s = s + jnp.diag(jnp.where(seen, jnp.asarray(scenario.sigma, x.dtype) ** 2, 1.0))
        cross = (cov_weights * tangents) @ deviation.T
        innovation = jnp.where(seen, scenario.innovation(packet.z, expected) - mean, 0.0)
        gain = kalman_gain(cross, s)
        after = space.retract(x, gain @ innovation)
        cov = cov - gain @ s @ gain.T
        return FilterEstimate(after, cov, x, innovation, s, gain)

    def predict(belief: Belief, u: jax.Array, dt: jax.Array) -> Belief:
        x, cov = belief
        points = over_points(lambda d: scenario.process(space.retract(x, d), u, dt))(
            sigma_tangents(cov)
        )
        centre = points[:, 0]
        tangents = over_points(lambda y: space.difference(y, centre))(points)
        mean, _, covariance = transform(tangents)
        grown = covariance + scenario.noise_matrix(x, u, dt)
        return Belief(space.retract(centre, mean), grown)

    return kalman_filter(correct, predict)


def cholesky(a: jax.Array) -> jax.Array:
    """Lower Cholesky factor of the symmetric part of `[n, n]`."""
    return jnp.linalg.cholesky(0.5 * (a + a.T))
