"""Simulate drives of a scenario: truth, inputs, measurements and initial belief, jitted."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Sensor


def simulate(scenario: Scenario, *, count: int = 64, seconds: float = 60.0, seed: int = 0) -> Drive:
    """Simulate `count` drives of `seconds` each, float64 numpy arrays, as one batch `[B, ...]`.

    Raises ValueError where a drive would hold fewer than two events.

        drives = kr.simulate(kr.load_scenario("rover"), count=16, seconds=30.0, seed=0)
    """
    drives = simulate_batch(scenario, jax.random.key(seed), count, seconds)
    return jax.tree.map(np.asarray, drives)


def simulate_batch(scenario: Scenario, key: jax.Array, count: int, seconds: float) -> Drive:
    """Simulate `count` drives of `seconds` each; a float64 batch `[B, ...]`."""
    events = round(seconds * scenario.event_hz)
    if events < 2:
        raise ValueError(
            f"seconds must span at least two events ({2 / scenario.event_hz:g} s), got {seconds:g}"
        )
    with jax.enable_x64(True):
        return _simulate(scenario, key, count, events)


@partial(jax.jit, static_argnums=(0, 2, 3))
def _simulate(scenario: Scenario, key: jax.Array, count: int, events: int) -> Drive:
    return jax.vmap(partial(simulate_drive, scenario, events=events))(jax.random.split(key, count))


def simulate_drive(scenario: Scenario, key: jax.Array, *, events: int) -> Drive:
    """Simulate one drive of that many events."""
    truth_key, belief_key, *sensor_keys = jax.random.split(key, 2 + len(scenario.sensors))
    k = scenario.ticks_per_event
    truth, u = scenario.simulate_truth(truth_key, events * k)
    assert truth.shape == (events * k + 1, scenario.space.state_dim), truth.shape
    assert u.shape == (events * k, len(scenario.inputs)), u.shape
    truth = truth[:-1:k]
    readings = [
        _readings(scenario, sensor, sensor_key, truth)
        for sensor, sensor_key in zip(scenario.sensors, sensor_keys, strict=True)
    ]
    seen = jnp.stack([s for _, s in readings], axis=-1)
    z = jnp.concatenate([z for z, _ in readings], axis=-1)
    z = jnp.where(scenario.mask(seen), z, 0.0)
    dt = jnp.full((events, k), 1.0 / scenario.tick_hz)
    packets = Packet(z, seen, u.reshape(events, k, -1), dt)
    t = jnp.arange(events) / scenario.event_hz
    return Drive(t, packets, initial_belief(scenario, belief_key, truth[0]), truth)


def initial_belief(scenario: Scenario, key: jax.Array, truth: jax.Array) -> Belief:
    """Draw the filter's initial belief, given the true state."""
    std = jnp.asarray(scenario.initial_std, truth.dtype)
    if scenario.sample_initial is not None:
        mean = scenario.sample_initial(key, truth)
    else:
        mean = scenario.space.retract(truth, std * jax.random.normal(key, std.shape))
    return Belief(mean, jnp.diag(std**2))


def _readings(
    scenario: Scenario, sensor: Sensor, key: jax.Array, truth: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return one sensor's readings `[E, z]` and whether each was seen `[E]`."""
    noise_key, outlier_key, dropout_key, outage_key = jax.random.split(key, 4)
    events = truth.shape[0]
    noise = jnp.asarray(sensor.sigma) * jax.random.normal(noise_key, (events, sensor.size))
    outlier = jax.random.bernoulli(outlier_key, sensor.outlier, (events, 1))
    z = jax.vmap(sensor.measure)(truth) + jnp.where(outlier, sensor.outlier_scale, 1.0) * noise
    first, every = scenario.event_hz * np.array([sensor.offset_s, 1 / sensor.rate_hz])
    due = np.arange(events) % round(every) == round(first)
    missed = jax.random.bernoulli(dropout_key, sensor.dropout, (events,))
    start_key, chance_key = jax.random.split(outage_key)
    gap = sensor.outage_s * scenario.event_hz
    start = jax.random.uniform(start_key, maxval=jnp.maximum(events - gap, 1.0))
    inside = (jnp.arange(events) >= start) & (jnp.arange(events) < start + gap)
    out = inside & jax.random.bernoulli(chance_key, sensor.outage_chance)
    return z, due & ~missed & ~out
