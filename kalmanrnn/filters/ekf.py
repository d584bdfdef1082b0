"""The extended Kalman filter on a manifold, for one drive; batch it with vmap.

Error-state form (Sola 2017, section 5): the covariance lives in the tangent space at the mean,
Jacobians are taken by jax at zero error, the mean moves through `process` itself.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.datatypes import Belief, Estimator, Packet
from kalmanrnn.scenarios.scenario import Scenario


class FilterEstimate(NamedTuple):
    """What a filter says at an event, with what it did to get there.

    mean, cov: as in `Estimate`. prior: `[X]` the mean before the measurements.
    innovation: `[Z]`, 0 where not seen. innovation_cov: `[Z, Z]`, identity where not seen.
    gain: `[D, Z]`, 0 where not seen.
    """

    mean: jax.Array
    cov: jax.Array
    prior: jax.Array
    innovation: jax.Array
    innovation_cov: jax.Array
    gain: jax.Array


def ekf(scenario: Scenario) -> Estimator:
    """Make the extended Kalman filter of a scenario."""
    space = scenario.space

    def correct(belief: Belief, packet: Packet) -> FilterEstimate:
        x, cov = belief
        zero = jnp.zeros(space.tangent_dim, x.dtype)
        seen = scenario.mask(packet.seen)
        expected = scenario.measure(x)
        jacobian = jax.jacfwd(
            lambda d: scenario.innovation(scenario.measure(space.retract(x, d)), expected)
        )(zero)
        jacobian = jnp.where(seen[:, None], jacobian, 0.0)
        noise = jnp.where(seen, jnp.asarray(scenario.sigma, x.dtype) ** 2, 1.0)
        innovation = jnp.where(seen, scenario.innovation(packet.z, expected), 0.0)
        cross = cov @ jacobian.T
        s = jacobian @ cross + jnp.diag(noise)
        gain = kalman_gain(cross, s)
        keep = jnp.eye(space.tangent_dim, dtype=x.dtype) - gain @ jacobian
        # Joseph form: stays positive for any gain (Bucy and Joseph 1968).
        cov = keep @ cov @ keep.T + (gain * noise) @ gain.T
        mean = space.retract(x, gain @ innovation)
        return FilterEstimate(mean, cov, x, innovation, s, gain)

    def predict(belief: Belief, tick: tuple[jax.Array, jax.Array]) -> tuple[Belief, None]:
        x, cov = belief
        u, dt = tick
        after = scenario.process(x, u, dt)
        zero = jnp.zeros(space.tangent_dim, x.dtype)
        f = jax.jacfwd(
            lambda d: space.difference(scenario.process(space.retract(x, d), u, dt), after)
        )(zero)
        grown = f @ cov @ f.T + scenario.noise_matrix(x, u, dt)
        return unless_padding(dt, Belief(after, grown), belief), None

    def step(belief: Belief, packet: Packet) -> tuple[Belief, FilterEstimate]:
        estimate = correct(belief, packet)
        carry, _ = jax.lax.scan(predict, Belief(estimate.mean, estimate.cov), (packet.u, packet.dt))
        return carry, estimate

    return Estimator(init=lambda belief: belief, step=step)


def kalman_gain(cross: jax.Array, s: jax.Array) -> jax.Array:
    """Return the gain `[D, Z]` = cross S^-1; S is symmetric and positive definite."""
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(s), True), cross.T).T


def unless_padding(dt: jax.Array, after: Belief, before: Belief) -> Belief:
    """Keep the belief through a padding tick, bit for bit."""
    return jax.tree.map(lambda new, old: jnp.where(dt > 0, new, old), after, before)
