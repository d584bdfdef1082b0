"""What a student would see, and should output, along its teacher's run.

Distilling the mechanism (a student regresses its teacher's gain, event by event) needs no
feedback through time and cannot diverge; rollout comes after it.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.models.student import Carry, Normaliser, Student, make_features, mean_input


class DistillationTargets(NamedTuple):
    """One drive's worth of questions and answers; arrays have `[E]` in front.

    features: `[F]` not normalised. innovation: `[Z]` soft-clipped. output: `[D]` the normalised
    output that gives the teacher's estimate. gain: `[D, Z]` the teacher's, in the same units.
    teacher_std: `[D]` the teacher's standard deviations, in units of the output.
    """

    features: jax.Array
    innovation: jax.Array
    output: jax.Array
    gain: jax.Array
    teacher_std: jax.Array


def teacher_outputs(
    student: Student, norm: Normaliser, drive: Drive, run: FilterEstimate
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return outputs `[E, D]`, gains `[E, D, Z]` and states at the events `[E, X]`."""
    scenario, kind = student.scenario, student.config.student
    space = scenario.space
    before = run.prior
    if not student.predicts:
        before = jnp.concatenate([drive.belief.mean[None], run.mean[:-1]])
    if kind in ("direct", "feedback"):
        reference = jnp.broadcast_to(norm.reference, run.mean.shape)
        move = jax.vmap(space.difference)(run.mean, reference)
        return move / norm.output_std, run.gain, before
    frames = jax.vmap(scenario.correction_frame)(before)
    move = jax.vmap(space.difference)(run.mean, before)
    output = jnp.einsum("eij,ei->ej", frames, move) / norm.output_std
    gain = jnp.einsum("eij,eiz->ejz", frames, run.gain)
    gain = gain / norm.output_std[:, None] * norm.innovation_std
    return output, gain, before


def distillation_targets(
    student: Student, norm: Normaliser, drive: Drive, run: FilterEstimate
) -> DistillationTargets:
    """Lay out one drive for teacher-forced learning."""
    output, gain, before = teacher_outputs(student, norm, drive, run)
    u_mean, interval = jax.vmap(mean_input)(drive.packets)

    def clock(since, packet_and_interval):
        seen, interval = packet_and_interval
        return jnp.where(seen, 0.0, since) + interval, since

    start = jnp.zeros(drive.packets.seen.shape[-1], interval.dtype)
    _, since = jax.lax.scan(clock, start, (drive.packets.seen, interval))
    carry = Carry(before, (), _delayed(output), _delayed(u_mean), _delayed(interval), since)
    see = jax.vmap(partial(make_features, student, norm))
    features, innovation = see(carry, drive.packets.z, drive.packets.seen)
    spread = jnp.sqrt(jnp.diagonal(run.cov, axis1=-2, axis2=-1)) / norm.output_std
    return DistillationTargets(features, innovation, output, gain, spread)


def _delayed(a: jax.Array) -> jax.Array:
    """Shift `[E, ...]` by one event; zero at the first."""
    return jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])
