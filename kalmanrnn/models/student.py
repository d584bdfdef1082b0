"""Learned estimators of five kinds behind one pure step.

Each event: features (innovation, state, inputs) -> recurrent core -> correction -> prediction.

gain      correction = (gain from the network) x soft-clipped innovation; process model predicts
residual  correction = network output; process model predicts
delta     estimate = last estimate + network output; no process model
feedback  estimate = network output, the last estimate among the inputs
direct    estimate = network output; readings in, state out
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.core.datatypes import Belief, Estimate, Estimator, Packet
from kalmanrnn.models.recurrent import HiddenState, make_core, merge, network_config
from kalmanrnn.scenarios.propagation import propagate
from kalmanrnn.scenarios.scenario import Scenario

SOFT_LIMIT = 4.0
FEATURE_LIMIT = 8.0


class Normaliser(NamedTuple):
    """Scales fitted on training drives; they travel with the parameters.

    feature_mean, feature_std: `[F]`. innovation_std: `[Z]`.
    output_std: `[D]` of the correction (gain, residual), of the move between events (delta), or
    of the state about `reference` (feedback, direct). reference: `[X]`.
    """

    feature_mean: jax.Array
    feature_std: jax.Array
    innovation_std: jax.Array
    output_std: jax.Array
    reference: jax.Array


class Carry(NamedTuple):
    """What a student remembers from one event to the next.

    x: `[X]` the state at the coming event (its last estimate, where it has no process model).
    memory: the core's. output: `[D]` the last normalised correction or move.
    u_mean: `[U]` mean input since the last event, interval: its length [s].
    since: `[S]` seconds since each sensor was last seen.
    """

    x: jax.Array
    memory: HiddenState
    output: jax.Array
    u_mean: jax.Array
    interval: jax.Array
    since: jax.Array


class StepState(NamedTuple):
    """A student after an event's update: its carry at the event, and what it made of it.

    mean: `[X]` the estimate. memory: the core's. output: `[D]` normalised, as in `Carry`.
    """

    carry: Carry
    mean: jax.Array
    memory: HiddenState
    output: jax.Array


class Student(NamedTuple):
    """A student's structure; its parameters and normaliser are handed to every call."""

    scenario: Scenario
    config: StudentConfig
    graph: Any

    @property
    def predicts(self) -> bool:
        """Whether the process model carries the state from event to event."""
        return self.config.student in ("gain", "residual")


def soft_clip(x: jax.Array) -> jax.Array:
    """Bound smoothly at SQUASH standard deviations; the identity for small ones."""
    return x * jax.lax.rsqrt(1 + (x / SOFT_LIMIT) ** 2)


def mean_input(packet: Packet) -> tuple[jax.Array, jax.Array]:
    """Return the time-weighted mean input `[U]` of a packet's ticks and their length [s]."""
    interval = jnp.sum(packet.dt)
    mean = packet.dt @ packet.u / jnp.maximum(interval, 1e-6)
    return mean, interval


def output_size(student: StudentConfig, scenario: Scenario) -> int:
    """Return how many numbers the core gives: a gain `[D, Z]`, or a correction `[D]`."""
    d, z = scenario.space.tangent_dim, scenario.sigma.size
    return d * (z if student.student == "gain" else 1)


def make_student(scenario: Scenario, config: StudentConfig, *, seed: int) -> tuple[Student, Any]:
    """Return a student and its first parameters, float32."""
    student = Student(scenario, config, None)
    size = blank_normaliser(student).feature_mean.size
    graph, params = make_core(
        size, output_size(config, scenario), network_config(config), seed=seed
    )
    return student._replace(graph=graph), params


def blank_normaliser(student: Student) -> Normaliser:
    """Return scales of one: what a normaliser is before it is fitted."""
    scenario = student.scenario
    ones = Normaliser(
        feature_mean=jnp.zeros(0),
        feature_std=jnp.ones(0),
        innovation_std=jnp.ones(scenario.sigma.size),
        output_std=jnp.ones(scenario.space.tangent_dim),
        reference=jnp.asarray(scenario.space.identity(), jnp.float32),
    )
    carry = initial_carry(scenario, jnp.zeros(scenario.space.state_dim), ())
    z, seen = jnp.zeros(scenario.sigma.size), jnp.ones(len(scenario.sensors), bool)
    features, _ = jax.eval_shape(lambda: make_features(student, ones, carry, z, seen))
    return ones._replace(
        feature_mean=jnp.zeros(features.shape), feature_std=jnp.ones(features.shape)
    )


def init(student: Student, params: Any, norm: Normaliser, belief: Belief) -> Carry:
    """Start from a belief; what is remembered starts empty."""
    return initial_carry(
        student.scenario, belief.mean, merge(student.graph, params).initial_state()
    )


def initial_carry(scenario: Scenario, x: jax.Array, memory: HiddenState) -> Carry:
    """Return what a student holds before its first event."""
    return Carry(
        x=x,
        memory=memory,
        output=jnp.zeros(scenario.space.tangent_dim, x.dtype),
        u_mean=jnp.zeros(len(scenario.inputs), x.dtype),
        interval=jnp.zeros((), x.dtype),
        since=jnp.zeros(len(scenario.sensors), x.dtype),
    )


def make_features(
    student: Student, norm: Normaliser, carry: Carry, z: jax.Array, seen: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return features `[F]`, not yet normalised, and the soft-clipped innovation `[Z]`."""
    scenario, kind = student.scenario, student.config.student
    mask = scenario.mask(seen)
    innovation = scenario.innovation(z, scenario.measure(carry.x)) / norm.innovation_std
    innovation = soft_clip(jnp.where(mask, innovation, 0.0))
    clock = jnp.concatenate([seen.astype(z.dtype), carry.since, carry.interval[None]])
    if kind in ("direct", "feedback"):
        angles = scenario.angular
        reading = jnp.concatenate([jnp.where(angles, jnp.cos(z), z), jnp.sin(z)[angles]])
        own = carry.output if kind == "feedback" else jnp.zeros(0, z.dtype)
        return jnp.concatenate([reading, carry.u_mean, own, clock]), innovation
    own = scenario.student_features(carry.x, carry.u_mean)
    if kind == "gain":
        # A filter's gain follows from motion alone. A network shown the innovations reads noise
        # into it: closer on drives it has seen, worse on others and on real ones.
        return jnp.concatenate([own, clock]), innovation
    return jnp.concatenate([innovation, own, carry.output, clock]), innovation


def clock_size(scenario: Scenario) -> int:
    """Count the last features: seen, seconds since seen (of each sensor), interval [s]."""
    return 2 * len(scenario.sensors) + 1


def normalise(norm: Normaliser, features: jax.Array) -> jax.Array:
    """Bring features into units of their spread over training drives, bounded."""
    scaled = (features - norm.feature_mean) / norm.feature_std
    return jnp.clip(scaled, -FEATURE_LIMIT, FEATURE_LIMIT)


def correct(
    student: Student, norm: Normaliser, x: jax.Array, raw: jax.Array, innovation: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Turn the core's output into an estimate `[X]` and the normalised output `[D]`."""
    scenario = student.scenario
    space = scenario.space
    output = raw
    if student.config.student == "gain":
        output = raw.reshape(space.tangent_dim, -1) @ innovation
    correction = norm.output_std * output
    if student.config.student in ("direct", "feedback"):
        return space.retract(norm.reference, correction), output
    return space.retract(x, scenario.correction_frame(x) @ correction), output


def step(
    student: Student, params: Any, norm: Normaliser, carry: Carry, packet: Packet
) -> tuple[Carry, Estimate]:
    """Take one event: update with its measurements, then predict to the next event."""
    state = update(student, params, norm, carry, packet.z, packet.seen)
    return predict(student, state, packet), Estimate(state.mean, None)


def update(
    student: Student, params: Any, norm: Normaliser, carry: Carry, z: jax.Array, seen: jax.Array
) -> StepState:
    """Estimate the state at an event from its measurements `[Z]` and sensors seen `[S]`."""
    features, innovation = make_features(student, norm, carry, z, seen)
    memory, raw = merge(student.graph, params).step(carry.memory, normalise(norm, features))
    mean, output = correct(student, norm, carry.x, raw, innovation)
    return StepState(carry, mean, memory, output)


def predict(student: Student, state: StepState, packet: Packet) -> Carry:
    """Predict from an event to the next one, over the packet's ticks."""
    u_mean, interval = mean_input(packet)
    x = state.mean
    if student.predicts:
        x = propagate(student.scenario.process, x, packet.u, packet.dt)
    since = jnp.where(packet.seen, 0.0, state.carry.since) + interval
    return Carry(x, state.memory, state.output, u_mean, interval, since)


def estimator(student: Student, params: Any, norm: Normaliser) -> Estimator:
    """Make the student an estimator like any filter."""
    return Estimator(
        init=lambda belief: init(student, params, norm, belief),
        step=lambda carry, packet: step(student, params, norm, carry, packet),
    )
