"""The two losses of a student: distillation along the teacher's run, and rollout on its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.datatypes import Belief, Packet
from kalmanrnn.data.distillation import DistillationTargets
from kalmanrnn.models.recurrent import merge
from kalmanrnn.models.student import Carry, Normaliser, Student, step


class RolloutBatch(NamedTuple):
    """What a rollout needs of a set of drives; arrays have `[B, E]` in front.

    belief: where each drive starts, `[B]`. packets: its events. targets: states to be compared
    with. teacher_std: `[D]` teacher's standard deviations. reset_state: where a diverged drive
    goes on from.
    """

    belief: Belief | None
    packets: Packet
    targets: tuple[jax.Array, ...]
    teacher_std: jax.Array
    reset_state: jax.Array


def distil_loss(
    student: Student,
    norm: Normaliser,
    params: Any,
    memory: Any,
    window: DistillationTargets,
    *,
    by_correction: bool = False,
) -> tuple[jax.Array, Any]:
    """Mean squared error of the gain; for students without one, robust error of the output.

    by_correction: robust error of what the gain makes of the innovation, in the teacher's
    standard deviations, where the teacher is a filter whose gain is not known.
    """
    memory, raw = merge(student.graph, params).sequence(memory, window.features)
    if student.config.student != "gain":
        return jnp.mean(pseudo_huber(raw - window.output)), memory
    gain = raw.reshape(window.gain.shape)
    if by_correction:
        correction = jnp.einsum("...dz,...z->...d", gain, window.innovation)
        error = (correction - window.output) / window.teacher_std
        return jnp.mean(pseudo_huber(error)), memory
    return jnp.mean((gain - window.gain) ** 2), memory


def rollout_loss(
    student: Student, norm: Normaliser, params: Any, carry: Carry, window: RolloutBatch
) -> tuple[jax.Array, Any]:
    """Robust error of the student's own run, in the teacher's standard deviations."""
    difference = student.scenario.space.difference

    def one(carry, packet, targets, std):
        carry, estimate = step(student, params, norm, carry, packet)
        losses = [
            jnp.mean(pseudo_huber(difference(estimate.mean, target) / std)) for target in targets
        ]
        return carry, sum(losses) / len(losses)

    def event(carry, at):
        return jax.vmap(one)(carry, at.packets, at.targets, at.teacher_std)

    carry, losses = jax.lax.scan(event, carry, window)
    return jnp.mean(losses), carry


def pseudo_huber(x: jax.Array) -> jax.Array:
    """Quadratic near 0, linear far away (Charbonnier et al. 1997)."""
    return jnp.sqrt(1 + x**2) - 1
