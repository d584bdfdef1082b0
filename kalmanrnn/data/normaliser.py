"""Fit a student's scales on training drives and their teacher's run."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.data.distillation import DistillationTargets, distillation_targets
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.models.student import Normaliser, Student, blank_normaliser, clock_size

SMALLEST = 1e-6


def fit_normaliser(student: Student, drives: Drive, run: FilterEstimate, skip: int) -> Normaliser:
    """Return scales fitted past the first `skip` events, where filters still find their feet."""
    norm = blank_normaliser(student)
    innovation = np.asarray(run.innovation)[:, skip:]
    norm = norm._replace(innovation_std=_rms(innovation, innovation != 0))
    if student.config.student in ("direct", "feedback"):
        norm = norm._replace(reference=jnp.asarray(_centre(student, np.asarray(run.mean))))
    output = np.asarray(_targets(student, norm, drives, run).output)[:, skip:]
    norm = norm._replace(output_std=_rms(output, output != 0))
    features = np.asarray(_targets(student, norm, drives, run).features)
    features = features.reshape(-1, features.shape[-1])
    mean, std = features.mean(axis=0), features.std(axis=0)
    # The clock keeps its seconds: it hardly varies in simulation, but does on a log.
    clock = clock_size(student.scenario)
    mean[-clock:], std[-clock:] = 0.0, 1.0
    return norm._replace(
        feature_mean=jnp.asarray(mean),
        feature_std=jnp.asarray(np.where(std > SMALLEST, std, 1.0)),
    )


def _targets(
    student: Student, norm: Normaliser, drives: Drive, run: FilterEstimate
) -> DistillationTargets:
    return jax.jit(jax.vmap(partial(distillation_targets, student, norm)))(drives, run)


def _rms(values: np.ndarray, count: np.ndarray) -> jax.Array:
    """Root mean square of the values that count, over all axes but the last."""
    axes = tuple(range(values.ndim - 1))
    square = np.sum(np.where(count, values, 0.0) ** 2, axis=axes)
    rms = np.sqrt(square / np.maximum(count.sum(axis=axes), 1))
    return jnp.asarray(np.where(rms > SMALLEST, rms, 1.0), jnp.float32)


def _centre(student: Student, states: np.ndarray) -> np.ndarray:
    """Mean of the vector blocks, no rotation: what absolute outputs are measured from."""
    space = student.scenario.space
    middle = space.identity()
    for block in space.blocks:
        if block.kind == "vector":
            part = space.state_slice(block.name)
            middle[part] = np.asarray(states)[..., part].mean(axis=(0, 1))
    return middle.astype(np.float32)
