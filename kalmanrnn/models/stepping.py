"""What a student holds between two events, and the pure functions that take it further."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.datatypes import Packet
from kalmanrnn.models.recurrent import merge
from kalmanrnn.models.student import (
    Carry,
    Normaliser,
    Student,
    advance,
    normalise,
    observe,
    respond,
)


class Held(NamedTuple):
    """What a student holds after an event: its carry before it, and its answer to it."""

    carry: Carry
    mean: jax.Array
    memory: Any
    output: jax.Array


def answer(
    student: Student, params: Any, norm: Normaliser, held: Held, seen_before: jax.Array,
    u: jax.Array, dt: jax.Array, z: jax.Array, seen: jax.Array, first: jax.Array,
) -> Held:  # fmt: skip
    """Go on from what is held over the ticks, and answer what is seen then."""
    packet = Packet(z, seen_before, u, dt)
    after = advance(student, held.carry, packet, held.mean, held.memory, held.output)
    carry = jax.tree.map(lambda a, b: jnp.where(first, a, b), held.carry, after)
    features, innovation = observe(student, norm, carry, z, seen)
    memory, raw = merge(student.graph, params).step(carry.memory, normalise(norm, features))
    mean, output = respond(student, norm, carry.x, raw, innovation)
    return Held(carry, mean, memory, output)


def ahead(student: Student, x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
    """Carry a state `[X]` on over ticks by the process model."""
    process = student.scenario.process
    after, _ = jax.lax.scan(lambda x, tick: (process(x, *tick), None), x, (u, dt))
    return after
