"""The extended Kalman filter on a manifold, for one drive; batch it with vmap.

Error-state form (Sola 2017, section 5): the covariance lives in the tangent space at the mean,
jax takes the Jacobians at zero error, and the mean moves through `process` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.datatypes import Belief, Estimator, Packet
from kalmanrnn.scenarios.scenario import Scenario


class FilterEstimate(NamedTuple):
    """A filter's estimate at an event, with the quantities behind it.

    mean, cov: as in `Estimate`. prior: `[X]`, the mean before the measurements.
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

    def predict(belief: Belief, u: jax.Array, dt: jax.Array) -> Belief:
        x, cov = belief
        after = scenario.process(x, u, dt)
        zero = jnp.zeros(space.tangent_dim, x.dtype)
        f = jax.jacfwd(
            lambda d: space.difference(scenario.process(space.retract(x, d), u, dt), after)
        )(zero)
        grown = f @ cov @ f.T + scenario.noise_matrix(x, u, dt)
        return Belief(after, grown)

    return kalman_filter(correct, predict)


def kalman_filter(
    correct: Callable[[Belief, Packet], FilterEstimate],
    predict: Callable[[Belief, jax.Array, jax.Array], Belief],
) -> Estimator:
    """Make an estimator that corrects at each event and predicts over each tick."""

    def tick(belief: Belief, inputs: tuple[jax.Array, jax.Array]) -> tuple[Belief, None]:
        u, dt = inputs
        after = predict(belief, u, dt)
        # A padding tick changes no bit.
        return jax.tree.map(lambda new, old: jnp.where(dt > 0, new, old), after, belief), None

    def step(belief: Belief, packet: Packet) -> tuple[Belief, FilterEstimate]:
        estimate = correct(belief, packet)
        carry, _ = jax.lax.scan(tick, Belief(estimate.mean, estimate.cov), (packet.u, packet.dt))
        return carry, estimate

    return Estimator(init=lambda belief: belief, step=step)


def kalman_gain(cross: jax.Array, s: jax.Array) -> jax.Array:
    """Return the gain `[D, Z]` = cross S^-1; S is symmetric and positive definite."""
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(s), True), cross.T).T
