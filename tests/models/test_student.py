from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.config import DataConfig, StudentConfig
from kalmanrnn.core.datatypes import Belief, Drive
from kalmanrnn.data.local_frame import localise, origins, shift_states
from kalmanrnn.data.teacher_runs import make_drives
from kalmanrnn.filters.rollout import rollout_drive
from kalmanrnn.models import student as students
from kalmanrnn.scenarios.scenario import load_scenario

KINDS = ("gain", "residual", "delta", "feedback", "direct")


def drives_of(name: str, seconds: float = 4.0, count: int = 2) -> Drive:
    return make_drives(load_scenario(name), DataConfig(seconds=seconds), 5, 0, count)


def alive(name: str, kind: str, **options):
    """Return a student with small random weights everywhere, so that nothing is switched off."""
    scenario = load_scenario(name)
    config = StudentConfig(student=kind, hidden=8, head=6, **options)
    student, params = students.make_student(scenario, config, seed=0)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    leaves = [a + 0.1 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)]
    norm = students.blank_normaliser(student)
    scale = jnp.full(scenario.space.tangent_dim, 0.01)
    return student, jax.tree.unflatten(tree, leaves), norm._replace(output_std=scale)


def one(drives: Drive, i: int = 0) -> Drive:
    return jax.tree.map(lambda a: np.asarray(a)[i], drives)


def estimates(student, params, norm, drive):
    run = partial(rollout_drive, students.estimator(student, params, norm))
    return jax.jit(run)(drive).mean


@pytest.mark.parametrize("name", ["imu_gps", "rover"])
@pytest.mark.parametrize("kind", KINDS)
def test_step_by_step_equals_scan(name, kind):
    student, params, norm = alive(name, kind)
    drive = one(localise(student.scenario, drives_of(name)))
    means = estimates(student, params, norm, drive)
    step = jax.jit(partial(students.step, student, params, norm))
    carry = students.init(student, params, norm, drive.belief)
    for e in range(len(drive.t)):
        carry, estimate = step(carry, jax.tree.map(lambda a, e=e: a[e], drive.packets))
        # Float32: the same operations, fused in another order.
        np.testing.assert_allclose(estimate.mean, means[e], rtol=1e-4, atol=1e-4)
    assert means.dtype == jnp.float32


@pytest.mark.parametrize("kind", KINDS)
def test_an_estimate_does_not_know_the_future(kind):
    student, params, norm = alive("imu_gps", kind)
    drive = one(localise(student.scenario, drives_of("imu_gps")))
    run = jax.jit(lambda d: rollout_drive(students.estimator(student, params, norm), d).mean)
    p = drive.packets
    z, u = np.array(p.z), np.array(p.u)
    z[11:] += 5.0
    # The ticks in packet 10 come after its event.
    u[10:] += 0.5
    before, after = run(drive), run(drive._replace(packets=p._replace(z=z, u=u)))
    np.testing.assert_array_equal(before[:11], after[:11])
    assert np.abs(before[12:] - after[12:]).max() > 1e-5


def world_means(student, params, norm, drives: Drive) -> np.ndarray:
    local = localise(student.scenario, drives)
    run = jax.jit(jax.vmap(partial(rollout_drive, students.estimator(student, params, norm))))
    origin = origins(student.scenario, drives)[:, None]
    return shift_states(student.scenario, np.asarray(run(local).mean, float), origin)


@pytest.mark.parametrize("kind", ["gain", "residual", "delta"])
def test_moving_the_world_by_ten_kilometres_moves_the_estimate_alone(kind):
    student, params, norm = alive("imu_gps", kind)
    drives = jax.tree.map(np.asarray, drives_of("imu_gps"))
    far = np.array([10_000.0, -7_000.0, 500.0])
    scenario = student.scenario
    moved = drives._replace(
        packets=drives.packets._replace(z=drives.packets.z + far),
        belief=Belief(shift_states(scenario, drives.belief.mean, far), drives.belief.cov),
        truth=shift_states(scenario, drives.truth, far),
    )
    here = world_means(student, params, norm, drives)
    there = world_means(student, params, norm, moved)
    np.testing.assert_allclose(shift_states(scenario, there, -far), here, atol=0.01)


@pytest.mark.parametrize("kind", ["gain", "residual", "delta", "feedback"])
def test_the_last_output_is_fed_back_and_its_gradient_flows(kind):
    student, params, norm = alive("imu_gps", kind)
    drive = one(localise(student.scenario, drives_of("imu_gps")))

    def next_estimate(push):
        carry = students.init(student, params, norm, drive.belief)
        first = jax.tree.map(lambda a: a[0], drive.packets)
        second = jax.tree.map(lambda a: a[1], drive.packets)
        carry, _ = students.step(student, params, norm, carry, first)
        # A gain sees its estimate, the others their output besides.
        own = {"x": carry.x} if kind == "gain" else {"output": carry.output}
        carry = carry._replace(**{name: a + push for name, a in own.items()})
        return students.step(student, params, norm, carry, second)[1].mean[4]

    # Without feedback it is exactly zero; small weights and scales make it small.
    assert abs(float(jax.jit(jax.grad(next_estimate))(0.0))) > 1e-9


def test_without_feedback_the_last_estimate_has_no_effect():
    student, params, norm = alive("imu_gps", "direct")
    drive = one(localise(student.scenario, drives_of("imu_gps")))
    carry = students.init(student, params, norm, drive.belief)
    packet = jax.tree.map(lambda a: a[0], drive.packets)
    step = jax.jit(partial(students.step, student, params, norm))
    _, a = step(carry, packet)
    pushed = carry._replace(x=carry.x + 1.0, output=carry.output + 1.0)
    _, b = step(pushed, packet)
    np.testing.assert_array_equal(a.mean, b.mean)


def test_an_unseen_measurement_changes_nothing_of_a_gain_students_state():
    student, params, norm = alive("imu_gps", "gain")
    drive = one(localise(student.scenario, drives_of("imu_gps")))
    carry = students.init(student, params, norm, drive.belief)
    packet = jax.tree.map(lambda a: a[0], drive.packets)
    packet = packet._replace(seen=np.zeros_like(packet.seen))
    _, estimate = jax.jit(partial(students.step, student, params, norm))(carry, packet)
    np.testing.assert_allclose(estimate.mean, carry.x, atol=1e-6)


def test_untrained_gain_student_is_dead_reckoning():
    scenario = load_scenario("imu_gps")
    student, params = students.make_student(scenario, StudentConfig(hidden=8), seed=0)
    norm = students.blank_normaliser(student)
    drive = one(localise(scenario, drives_of("imu_gps")))
    means = estimates(student, params, norm, drive)
    x, process = drive.belief.mean, jax.jit(scenario.process)
    for e in range(3):
        np.testing.assert_allclose(means[e], x, atol=1e-4)
        for u, dt in zip(drive.packets.u[e], drive.packets.dt[e], strict=True):
            x = process(x, u, dt)


def test_the_innovation_is_bounded():
    x = jnp.array([1e-3, 1.0, 1e6, -1e12])
    y = students.soft_clip(x)
    assert np.all(np.abs(y) <= students.SOFT_LIMIT * (1 + 1e-6))
    np.testing.assert_allclose(y[0], x[0], rtol=1e-6)
