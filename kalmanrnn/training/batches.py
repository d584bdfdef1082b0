"""Batches of a training set: the set laid out for a phase, and the order of its drives."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import StudentConfig, TrainConfig
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.data.augmentation import rotate_yaw
from kalmanrnn.data.distillation import DistillationTargets, distillation_targets
from kalmanrnn.data.teacher_runs import TeacherRun
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.models.student import Normaliser, Student, normalise
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training.losses import RolloutBatch
from kalmanrnn.training.phases import Position

# Laying a set out in another heading costs as much as an epoch over it.
EPOCHS_PER_LAYOUT = 3


def layout_index(position: Position) -> int:
    """Count the times a set has been laid out anew before this epoch."""
    return position.epoch // EPOCHS_PER_LAYOUT


def prepare_set(
    student: Student,
    norm: Normaliser,
    config: TrainConfig,
    position: Position,
    dataset: TeacherRun,
) -> DistillationTargets | RolloutBatch:
    """Lay out a training set for an epoch of a phase, on the device, each drive's yaw rotated."""
    drives, run = dataset.drives, dataset.run
    if student.scenario.yaw_symmetry is not None:
        index = (position.set_index, layout_index(position))
        rng = random_stream(config.seed, Stream.YAW, *index)
        angles = rng.uniform(-np.pi, np.pi, drives.t.shape[0]).astype(np.float32)
        drives, run = rotate_yaw(student.scenario, drives, run, angles)
    if position.phase.name == "distil":
        return layout_targets(student.scenario, student.config, norm, drives, run)
    targets = {"teacher": (run.mean,), "truth": (drives.truth,), "both": (run.mean, drives.truth)}
    reset_state = run.prior
    if student.config.student == "delta":
        reset_state = jnp.concatenate([drives.belief.mean[:, None], run.mean[:, :-1]], axis=1)
    std = jnp.sqrt(jnp.diagonal(run.cov, axis1=-2, axis2=-1))
    batch = RolloutBatch(drives.belief, drives.packets, targets[config.target], std, reset_state)
    return jax.device_put(batch)


def batch_indices(seed: int, position: Position, drives: int) -> np.ndarray:
    """Return the drives `[batch]` of a step's batch; an epoch sees each drive once."""
    rng = random_stream(seed, Stream.BATCHES, position.set_index, position.epoch)
    size = position.phase.batch
    return rng.permutation(drives)[position.batch * size : (position.batch + 1) * size]


@partial(jax.jit, static_argnums=(0, 1))
def layout_targets(
    scenario: Scenario,
    config: StudentConfig,
    norm: Normaliser,
    drives: Drive,
    run: FilterEstimate,
) -> DistillationTargets:
    """Lay out distillation targets for a batch of drives, features normalised."""
    student = Student(scenario, config, None)
    found: Any = jax.vmap(partial(distillation_targets, student, norm))(drives, run)
    return found._replace(features=normalise(norm, found.features))
