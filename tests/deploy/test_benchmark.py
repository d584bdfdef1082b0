"""Costs count what is there, and a report never calls the more expensive one cheaper."""

import json
import shutil

import jax
import numpy as np
import pytest

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.deploy.c import source_files
from kalmanrnn.deploy.export_folder import Subject, write_export
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.deploy.verification.benchmark import (
    Cost,
    CostComparison,
    compare_costs,
    format_report,
)
from kalmanrnn.deploy.verification.checks import VECTORS, FormatCheck
from kalmanrnn.deploy.verification.replay import (
    compile_replay,
    events_from_drives,
    events_from_vectors,
    run_replay,
)
from kalmanrnn.deploy.verification.replay_source import SEGMENT
from kalmanrnn.deploy.verification.test_vectors import load_vectors
from kalmanrnn.models.student import blank_normaliser, estimator, make_student

needs_cc = pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler on this machine"
)
CHECKS = [FormatCheck("C99", passed=True, events=288, worst=0.5, port="x", limit=2e-6)]


@pytest.fixture(scope="module")
def exported(scenario, tmp_path_factory):
    """A small student of `linear`, exported."""
    sim = scenario("linear")
    student, params = make_student(sim, StudentConfig(hidden=8, layers=1, head=8), seed=0)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 0.1 * rng.standard_normal(a.shape, np.float32), params)
    norm = blank_normaliser(student)
    machine = trace_estimator(student, sim, params=params, norm=norm)
    out = tmp_path_factory.mktemp("export") / "out"
    write_export(Subject(machine, lambda: estimator(student, params, norm), sim), out, ["c"])
    return out


def cost(name, us, *, flash=1000, refused=0, cov=True):
    return Cost(name, us, us, flash, 0, 100, 100, 100, refused, cov)


def report_of(*costs):
    return format_report(CostComparison(costs, 288, 20.0, "a machine", "a compiler"), CHECKS)


@needs_cc
def test_costs_of_an_export(scenario, exported):
    """Weights are 4 bytes each, but for a few that no number depends on."""
    found = compare_costs(exported, scenario("linear"), seconds=0.05)
    assert found.missing == ""
    assert [c.name for c in found.costs] == ["student", "ekf", "ukf"]
    assert [c.cov for c in found.costs] == [False, True, True]
    assert all(0.0 < c.fastest_us <= c.median_us < 1e3 for c in found.costs)
    assert all(c.refused == 0 and c.code > 500 and c.stack > 50 for c in found.costs)
    spec = json.loads((exported / "spec.json").read_text())
    count = spec["weights"]["count"]
    assert 0.95 * 4 * count < found.costs[0].weights <= 4 * count
    assert found.costs[1].weights == 0
    d = scenario("linear").space.tangent_dim
    assert found.costs[1].state >= 4 * (d + d * d)
    text = format_report(found, CHECKS)
    assert text.count("times as long as") + text.count("the same time") == 2
    assert "the student gives none" in text
    assert not (exported / "c" / "replay.c").exists()


@needs_cc
def test_a_replay_counts_what_is_refused(scenario, exported, tmp_path):
    """A NaN in one event's measurement refuses that event and no other."""
    machine = trace_estimator("ekf", scenario("linear"))
    events = events_from_vectors(load_vectors(exported / VECTORS))
    z = events.z.copy()
    z[17, 0] = np.nan
    source_files.write_sources(machine, tmp_path)
    program = compile_replay(machine, tmp_path, events)
    laps, refused = run_replay(program, events, 0.01)
    assert refused == 0
    assert laps.shape[0] >= 3
    assert laps.shape[1] == 3 * 96 // SEGMENT
    assert run_replay(program, events._replace(z=z), 0.01)[1] == 1


@needs_cc
@pytest.mark.parametrize("name", ["lorenz", "radar_lidar", "rover"])
def test_every_robot_can_be_replayed(scenario, tmp_path, name):
    """Without inputs, with several sensors, with angles; nothing is seen in two drives."""
    sim = scenario(name)
    ticks, dims = sim.ticks_per_event, sim.space.tangent_dim
    packets = Packet(
        np.zeros((2, 20, sim.sigma.size)),
        np.zeros((2, 20, len(sim.sensors)), bool),
        np.zeros((2, 20, ticks, len(sim.inputs))),
        np.full((2, 20, ticks), 0.01),
    )
    first = Belief(np.ones((2, sim.space.state_dim)), np.tile(np.eye(dims), (2, 1, 1)))
    events = events_from_drives(Drive(np.zeros((2, 20)), packets, first, None))
    assert events.ticks.tolist() == [ticks] * 40
    machine = trace_estimator("ekf", sim)
    source_files.write_sources(machine, tmp_path)
    laps, refused = run_replay(compile_replay(machine, tmp_path, events), events, 0.01)
    assert refused == 0
    assert laps.shape[1] == 2 * -(-20 // SEGMENT)


def test_ticks_reach_to_the_last_real_one(exported):
    vectors = load_vectors(exported / VECTORS)
    dt = np.zeros((len(vectors.starts), 4))
    dt[0], dt[1], dt[3] = [0.1, 0.1, 0.1, 0.1], [0.1, 0.0, 0.1, 0.0], [0.1, 0.0, 0.0, 0.0]
    events = events_from_vectors(vectors._replace(inputs=vectors.inputs | {"dt": dt}))
    assert events.ticks[:4].tolist() == [4, 3, 0, 1]


def test_the_more_expensive_is_never_called_cheaper():
    text = report_of(cost("student", 10.0, cov=False), cost("ekf", 2.0), cost("ukf", 40.0))
    assert "the student takes 5 times as long as the EKF: the EKF is cheaper" in text
    assert "the UKF takes 4 times as long as the student" in text
    assert text.count("cheaper") == 1
    near = report_of(cost("student", 10.0, cov=False), cost("ekf", 10.5))
    assert "the same time within a tenth" in near
    assert "cheaper" not in near


def test_a_large_network_and_refused_events_are_reported():
    text = report_of(cost("student", 1.0, flash=8000, cov=False), cost("ekf", 9.0, refused=3))
    assert "the student takes 8 times the flash of the EKF" in text
    assert "The EKF refused 3 of 288 events" in text


def test_filters_alone_are_no_student(scenario):
    text = report_of(cost("ukf", 9.0), cost("ekf", 3.0))
    assert "student" not in text
    assert "the UKF takes 3 times as long as the EKF: the EKF is cheaper" in text


def test_without_a_compiler_the_reason_is_given(scenario, exported, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    found = compare_costs(exported, scenario("linear"))
    assert found.costs == ()
    assert "no-such-compiler" in format_report(found, CHECKS)
    assert "Not measured" in format_report(found, CHECKS)


def test_without_c_the_reason_is_given(scenario, exported, tmp_path):
    beside = shutil.copytree(exported, tmp_path / "beside")
    shutil.rmtree(beside / "c")
    text = format_report(compare_costs(beside, scenario("linear")), CHECKS)
    assert "Not measured: this export has no C" in text
