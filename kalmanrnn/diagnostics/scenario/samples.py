"""Evaluate a scenario's models along simulated truth and around it, in one batch."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.scenarios.scenario import Scenario

CHAINED, SAMPLES = 4, 64


class Samples(NamedTuple):
    """Models at `[n]` states x near the truth.

    after, readings: `[n, X]`, `[n, Z]` f and h. back: `[n, D]` difference(retract(x, d), x) - d.
    again: `[n, D]` what retract(x, difference(y, x)) lacks of y. tangent: `[n, D]` d.
    rest: `[n, D]` and rest_noise: `[n, D]` what a tick of dt = 0 moves and adds to variances.
    turned_after, turned_readings: what f and h lack of commuting with `yaw_symmetry`, else 0.
    moved_after, moved_readings: what they lack after the origin block has moved by `shift`.
    """

    after: Any
    readings: Any
    tangent: Any
    back: Any
    again: Any
    rest: Any
    rest_noise: Any
    turned_after: Any
    turned_readings: Any
    moved_after: Any
    moved_readings: Any


def sample_models(scenario: Scenario, truth: jax.Array, u: jax.Array, white: RandomDraws) -> tuple:
    """Evaluate the models along the truth and around it."""
    space, k, d = scenario.space, scenario.ticks_per_event, scenario.space.tangent_dim
    before = truth[:, :-1]
    flat_x = before.reshape(-1, before.shape[-1])
    flat_u = u.reshape(len(flat_x), u.shape[-1])
    step = max(1, len(flat_x) // SAMPLES)
    some_u = flat_u[::step][:SAMPLES]
    at = jax.vmap(partial(perturbed_states, scenario))(flat_x[::step][:SAMPLES], white)
    states = (flat_x, at.x, at.x, at.turned, at.moved)
    # All states in one batch: each model is compiled once instead of five times.
    dt = jnp.full(sum(map(len, states)), 1 / scenario.tick_hz)
    ends = np.cumsum([len(a) for a in states])
    dt = dt.at[ends[1] : ends[2]].set(0.0)
    inputs = jnp.concatenate([flat_u, *[some_u] * 4])
    after = jax.vmap(scenario.process)(jnp.concatenate(states), inputs, dt)
    q = jax.vmap(scenario.noise_matrix)(jnp.concatenate(states), inputs, dt)
    noise = jnp.diagonal(q, axis1=-2, axis2=-1)
    flat_after, *near = jnp.split(after, ends[:-1])
    after = flat_after.reshape(before.shape)
    residual = jax.vmap(jax.vmap(space.difference))(truth[:, 1:], after)
    noise_flat, _, rest_noise, *_ = jnp.split(noise, ends[:-1])
    slopes = jax.vmap(jax.vmap(partial(process_jacobian, scenario)))(before[:CHAINED], u[:CHAINED])

    def chain(slopes):
        _, products = jax.lax.scan(lambda m, f: (f @ m, m), jnp.eye(d), slopes)
        return products[::k]

    reading = jax.vmap(jax.vmap(partial(measurement_jacobian, scenario)))(before[:CHAINED, ::k])
    samples = jax.vmap(partial(invariant_residuals, scenario))(at, near, rest_noise)
    noise = noise_flat.reshape(residual.shape)
    return after, residual, noise, slopes, jax.vmap(chain)(slopes), reading, samples


def process_jacobian(scenario: Scenario, x: jax.Array, u: jax.Array) -> jax.Array:
    """Return F `[D, D]` of one tick."""
    space, dt = scenario.space, 1 / scenario.tick_hz
    after = scenario.process(x, u, jnp.asarray(dt))
    return jax.jacfwd(
        lambda d: space.difference(scenario.process(space.retract(x, d), u, jnp.asarray(dt)), after)
    )(jnp.zeros(space.tangent_dim))


def measurement_jacobian(scenario: Scenario, x: jax.Array) -> jax.Array:
    """Return H `[Z, D]`."""
    expected = scenario.measure(x)
    return jax.jacfwd(
        lambda d: scenario.innovation(scenario.measure(scenario.space.retract(x, d)), expected)
    )(jnp.zeros(scenario.space.tangent_dim))


class RandomDraws(NamedTuple):
    """Random numbers for `SAMPLES` states, from numpy, which compiles nothing.

    place: `[n, D]` normal. tangent: `[n, D]` within 1. angle: `[n]` [rad]. shift: `[n, o]` of
    the origin block.
    """

    place: Any
    tangent: Any
    angle: Any
    shift: Any


def draw_random(scenario: Scenario, seed: int) -> RandomDraws:
    """Draw the random numbers."""
    rng, d = random_stream(seed, Stream.MODEL_SAMPLES), scenario.space.tangent_dim
    size = scenario.space.block(scenario.origin).state_size if scenario.origin else 0
    return RandomDraws(
        rng.standard_normal((SAMPLES, d)),
        rng.uniform(-1, 1, (SAMPLES, d)),
        rng.uniform(0.5, 2.5, SAMPLES),
        1e4 * rng.standard_normal((SAMPLES, size)),
    )


class States(NamedTuple):
    """A state x near the truth, a tangent there, x rotated in yaw and x shifted."""

    x: Any
    tangent: Any
    angle: Any
    turned: Any
    shift: Any
    moved: Any


def perturbed_states(scenario: Scenario, x: jax.Array, white: RandomDraws) -> States:
    """Return states as far from the truth as the initial belief may be."""
    space = scenario.space
    x = space.retract(x, jnp.asarray(scenario.initial_std) * white.place)
    turned = x
    if scenario.yaw_symmetry is not None:
        turned = scenario.yaw_symmetry(x, jnp.zeros(scenario.sigma.size), white.angle)[0]
    block = space.state_slice(scenario.origin) if scenario.origin else slice(0, 0)
    moved = x.at[block].add(white.shift)
    return States(x, white.tangent, white.angle, turned, white.shift, moved)


def invariant_residuals(
    scenario: Scenario, at: States, near: list, rest_noise: jax.Array
) -> Samples:
    """Return the residual of each invariant, from f at x, with dt = 0, rotated and shifted."""
    after, rest, turned, moved = near
    space, zero = scenario.space, jnp.zeros(scenario.space.tangent_dim)
    readings, there, elsewhere = jax.vmap(scenario.measure)(jnp.stack([at.x, at.turned, at.moved]))
    y = space.retract(at.x, at.tangent)
    again = space.retract(at.x, space.difference(y, at.x))
    turned_after, turned_readings = zero, jnp.zeros_like(readings)
    if scenario.yaw_symmetry is not None:
        turned_after = space.difference(turned, scenario.yaw_symmetry(after, readings, at.angle)[0])
        turned_readings = scenario.innovation(
            there, scenario.yaw_symmetry(at.x, readings, at.angle)[1]
        )
    moved_after, moved_readings = zero, jnp.zeros_like(readings)
    if scenario.origin:
        block = space.state_slice(scenario.origin)
        moved_after = space.difference(moved, after.at[block].add(at.shift))
        by = jnp.where(scenario.origin_columns >= 0, at.shift[scenario.origin_columns], 0.0)
        moved_readings = scenario.innovation(elsewhere, readings + by)
    return Samples(
        after=after,
        readings=readings,
        tangent=at.tangent,
        back=space.difference(y, at.x) - at.tangent,
        again=space.difference(again, y),
        rest=space.difference(rest, at.x),
        rest_noise=rest_noise,
        turned_after=turned_after,
        turned_readings=turned_readings,
        moved_after=moved_after,
        moved_readings=moved_readings,
    )
