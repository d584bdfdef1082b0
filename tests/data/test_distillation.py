from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.config import DataConfig, StudentConfig
from kalmanrnn.data.augmentation import random_outages
from kalmanrnn.data.distillation import distillation_targets, teacher_outputs
from kalmanrnn.data.teacher_runs import make_drives, run_teacher
from kalmanrnn.models import student as students
from kalmanrnn.scenarios.scenario import load_scenario

DATA = DataConfig(teacher="ekf", seconds=6.0, check_segments=0)


@pytest.fixture(scope="module")
def taught():
    drives = make_drives(load_scenario("imu_gps"), DATA, 4, 0, 2)
    drives = random_outages(drives, DataConfig(outage_share=1.0, max_outage_s=3.0), 1, 0)
    return run_teacher(load_scenario("imu_gps"), DATA, drives, every="event", seed=0)


def student_and_scales(kind):
    student, _ = students.make_student(
        load_scenario("imu_gps"), StudentConfig(student=kind, hidden=4), seed=0
    )
    norm = students.blank_normaliser(student)
    scales = jnp.linspace(0.5, 2.0, 15)
    return student, norm._replace(output_std=scales, innovation_std=jnp.array([1.1, 0.9, 2.0]))


def one(tree, i=0):
    return jax.tree.map(lambda a: jnp.asarray(a[i]), tree)


@pytest.mark.parametrize("kind", ["gain", "residual", "delta", "feedback", "direct"])
def test_the_right_answer_gives_the_teachers_estimate(kind, taught):
    student, norm = student_and_scales(kind)
    drive, run = one(taught.drives), one(taught.run)
    output, gain, before = jax.jit(partial(teacher_outputs, student, norm))(drive, run)
    raw = gain.reshape(len(gain), -1) if kind == "gain" else output
    # Without the soft clip: it is the student's own, the targets are the teacher's.
    innovation = run.innovation / norm.innovation_std
    mean, _ = jax.jit(jax.vmap(partial(students.correct, student, norm)))(before, raw, innovation)
    error = jax.jit(jax.vmap(student.scenario.space.difference))(mean, run.mean)
    # Float32 of positions and rotations over a few hundred metres.
    np.testing.assert_allclose(error, 0.0, atol=2e-4)


@pytest.mark.parametrize("kind", ["gain", "residual", "delta", "feedback", "direct"])
def test_a_lesson_shows_what_a_student_sees_on_its_own_run(kind, taught):
    student, norm = student_and_scales(kind)
    drive, run = one(taught.drives), one(taught.run)
    shown = jax.jit(partial(distillation_targets, student, norm))(drive, run)
    make_features = jax.jit(partial(students.make_features, student, norm))
    predict = jax.jit(partial(students.predict, student))
    carry = students.initial_carry(student.scenario, drive.belief.mean, ())
    assert not np.asarray(drive.packets.seen).all()
    for e in range(len(drive.t)):
        packet = jax.tree.map(lambda a, e=e: a[e], drive.packets)
        seen, innovation = make_features(carry, packet.z, packet.seen)
        np.testing.assert_allclose(seen, shown.features[e], atol=2e-3, err_msg=f"event {e}")
        np.testing.assert_allclose(innovation, shown.innovation[e], atol=2e-3)
        state = students.StepState(carry, run.mean[e], (), shown.output[e])
        carry = predict(state, packet)
