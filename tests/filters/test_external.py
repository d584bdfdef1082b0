"""A user's own filter as teacher: equal to ours when it is ours, and every way it can fail."""

import jax
import numpy as np
import pytest
from helpers import ROOT

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.core.errors import UserError
from kalmanrnn.data.teacher_runs import teacher_estimates
from kalmanrnn.filters.external.labels import label, replace_lost
from kalmanrnn.filters.external.run import as_filter_run

EXAMPLE = ROOT / "examples" / "my_filter.py"

OURS = """
import jax
from kalmanrnn.filters.kinds import FILTERS

class Ours:
    def __init__(self, scenario):
        filter = FILTERS["ukf"](scenario)
        self.start, self.one = filter.init, jax.jit(filter.step)

    def init(self, belief):
        self.carry = self.start(belief)

    def step(self, packet):
        self.carry, said = self.one(self.carry, packet)
        return said

def make_filter(scenario):
    return Ours(scenario)
"""

# Says what it is told to: the belief's mean, counted up by one each event.
PLAIN = """
import numpy as np

class Plain:
    def init(self, belief):
        self.x, self.event = belief.mean.copy(), 0

    def step(self, packet):
        self.event += 1
        self.x = self.x + 1
        STEP

def make_filter():
    return Plain()
"""


def write(tmp_path, text, name="mine.py"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def plain(tmp_path, step="return self.x"):
    return write(tmp_path, PLAIN.replace("STEP", step))


@pytest.fixture(scope="module")
def few(drives):
    return drives("rover", "dropout=0.3", count=3, seconds=6.0)


@pytest.fixture(scope="module")
def rover(scenario):
    return scenario("rover", "dropout=0.3")


def test_our_own_filter_from_outside_says_the_same(tmp_path, rover, few):
    spec = write(tmp_path, OURS) + ":make_filter"
    labels = label(rover, spec, few)
    ours = teacher_estimates(rover, "ukf", few)
    # The same sums, event by event and in a batch: rounding, carried along a drive.
    np.testing.assert_allclose(labels.mean, ours.mean, rtol=0, atol=1e-9)
    np.testing.assert_allclose(labels.cov, ours.cov, rtol=0, atol=1e-9)
    assert (labels.kept.all(), labels.failures, labels.first_message) == (True, 0, "")


def test_processes_say_what_one_process_says_and_their_number_does_not_matter(tmp_path, rover, few):
    spec = write(tmp_path, OURS)
    here = label(rover, spec, few)
    calls = []
    for workers in (1, 2):
        there = label(
            rover,
            spec,
            few,
            sim="rover",
            settings=("dropout=0.3",),
            workers=workers,
            progress=lambda *at: calls.append(at),
        )
        np.testing.assert_allclose(there.mean, here.mean, rtol=0, atol=1e-9)
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)] * 2


def test_laid_out_as_a_run_it_is_the_filters_own(tmp_path, rover, few):
    labels = label(rover, write(tmp_path, OURS), few)
    run, ekf = as_filter_run(rover, labels, few), teacher_estimates(rover, "ukf", few)
    np.testing.assert_array_equal(run.mean, labels.mean)
    np.testing.assert_array_equal(run.cov, labels.cov)
    # A UKF's prior is the mean of its points, this one the process at its mean.
    sigma = np.sqrt(np.diagonal(ekf.cov, axis1=-2, axis2=-1))
    assert (np.abs(run.prior - ekf.prior) < 0.2 * sigma).mean() > 0.95
    np.testing.assert_array_equal(run.prior[:, 0], few.belief.mean)
    unseen = ~rover.mask(np.asarray(few.packets.seen))
    assert unseen.any()
    assert not run.innovation[unseen].any()
    off = np.abs(run.innovation - ekf.innovation)[~unseen]
    assert np.median(off) < 0.02
    np.testing.assert_allclose(
        np.median(np.diagonal(run.innovation_cov, axis1=-2, axis2=-1), axis=(0, 1)),
        np.median(np.diagonal(ekf.innovation_cov, axis1=-2, axis2=-1), axis=(0, 1)),
        rtol=0.05,
    )
    assert not run.gain.any()


def test_without_a_covariance_an_ekfs_takes_its_place(tmp_path, rover, few):
    spec = write(tmp_path, OURS.replace("return said", "return said.mean"))
    labels = label(rover, spec, few)
    assert labels.cov is None
    run, ekf = as_filter_run(rover, labels, few), teacher_estimates(rover, "ekf", few)
    ratio = np.diagonal(run.cov, axis1=-2, axis2=-1) / np.diagonal(ekf.cov, axis1=-2, axis2=-1)
    # It linearises at the UKF's states instead of its own.
    assert np.abs(np.median(ratio) - 1) < 0.02


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("1 / (5 - 5); return self.x", "ZeroDivisionError: division by zero (mine.py:12)"),
        ("return self.x * (np.nan if self.event == 5 else 1)", "mean is not finite at event 4"),
        ("return self.x[: 3 - (self.event == 5)]", "mean must be [3], got [2] at event 4"),
        ("return self.x, np.eye(4 - (self.event < 5))", "cov must be [3, 3], got [4, 4]"),
        ("return self.x, np.eye(3) * (self.event < 5)", "cov is not finite or has a variance of 0"),
        ("return self.x, np.eye(3) if self.event < 5 else None", "at some events and none"),
        ("return self.x, np.eye(3), 0", "(mean, cov) or mean, got 3"),
    ],
)
def test_a_failure_costs_the_drive_and_names_its_cause(tmp_path, rover, few, step, message):
    # Only the second drive, recognised by where it begins.
    start = float(few.belief.mean[1, 0])
    guard = f"if abs(self.x[0] - self.event - {start!r}) > 1e-6: return self.x, np.eye(3)"
    if "np.eye" not in step:
        guard = guard.replace(", np.eye(3)", "")
    labels = label(rover, plain(tmp_path, f"{guard}\n        {step}"), few)
    np.testing.assert_array_equal(labels.kept, [True, False, True])
    assert labels.failures == 1
    assert message in labels.first_message
    assert np.isnan(labels.mean[1]).all()
    np.testing.assert_allclose(labels.mean[2, 0], few.belief.mean[2] + 1, rtol=0, atol=1e-12)
    full, same = replace_lost(labels, few)
    np.testing.assert_array_equal(full.mean[1], labels.mean[0])
    np.testing.assert_array_equal(same.packets.z[1], few.packets.z[0])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PLAIN.replace("STEP", "return self.y"), "AttributeError: 'Plain' object has no"),
        (PLAIN.replace("STEP", "return 0").replace("import numpy", "import nump"), "nump"),
        (PLAIN.replace("STEP", "pass").replace("def step", "def stop"), "init(belief) and step"),
        ("def other(): pass", "names a function"),
        ("def make_filter(:", "SyntaxError"),
    ],
)
def test_a_teacher_that_never_works_is_three_lines(tmp_path, rover, few, text, why):
    with pytest.raises(UserError) as caught:
        label(rover, write(tmp_path, text), few)
    assert why in caught.value.why
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("spec", ["none.py:make_filter", "mine.txt", "mine.py:not a name"])
def test_a_spec_that_names_nothing_is_refused(rover, few, spec):
    with pytest.raises(UserError):
        label(rover, spec, few)


def test_what_a_worker_raises_reaches_the_user_whole(tmp_path, rover, few):
    spec = write(tmp_path, "import no_such_module\n")
    with pytest.raises(UserError, match="cannot make the teacher") as caught:
        label(rover, spec, few, sim="rover", workers=1)
    assert "mine.py:1" in caught.value.why


def test_a_teacher_that_remembers_is_found(tmp_path, rover, few):
    text = PLAIN.replace("STEP", "return self.x").replace(
        "self.x, self.event = belief.mean.copy(), 0",
        "self.x, self.event = belief.mean + getattr(self, 'event', 0), 0",
    )
    with pytest.raises(UserError, match="remembers the previous drive"):
        label(rover, write(tmp_path, text), few)


def test_what_it_gets_is_a_copy_of_what_was_seen(tmp_path, rover, few):
    spec = plain(tmp_path, "packet.z[:] = 7.0; packet.u[:] = 7.0; return self.x")
    before = jax.tree.map(np.array, few)
    label(rover, spec, few)
    jax.tree.map(np.testing.assert_array_equal, before, few)


def test_estimates_are_kept_by_what_they_depend_on(tmp_path, rover, few):
    cache, calls = tmp_path / "teacher", tmp_path / "calls"
    step = f"open({str(calls)!r}, 'a').write('x'); return self.x"
    spec = plain(tmp_path, step)
    events = few.packets.z.shape[1]

    def computed(drives=few):
        calls.write_text("")
        labels = label(rover, spec, drives, cache=cache)
        return labels, len(calls.read_text()) / events

    first, count = computed()
    # The first drive a second time: does it remember?
    assert count == 3 + 1
    again, count = computed()
    assert count == 0
    np.testing.assert_array_equal(first.mean, again.mean)
    # One drive changed: that one alone, and once more.
    z = few.packets.z.copy()
    z[1, 4] += 1e-9
    assert computed(few._replace(packets=few.packets._replace(z=z)))[1] == 2
    damaged = sorted(cache.iterdir())
    assert len(damaged) == 4
    for path in damaged:
        path.write_bytes(path.read_bytes()[:300])
    again, count = computed()
    assert count == 3 + 1
    np.testing.assert_array_equal(first.mean, again.mean)
    # Another filter in the same file.
    plain(tmp_path, step.replace("self.x", "self.x + 1"))
    other, count = computed()
    assert count == 3 + 1
    np.testing.assert_allclose(other.mean, first.mean + 1, rtol=0, atol=1e-12)


def test_the_example_is_as_good_as_our_filter(rover, scenario, drives):
    d = drives("rover", count=6, seconds=10.0)
    labels = label(scenario("rover"), f"{EXAMPLE}:make_filter", d)
    ours = teacher_estimates(scenario("rover"), "ukf", d)

    def wrong(mean):
        return np.sqrt(np.mean((mean - d.truth)[:, 20:, :2] ** 2))

    assert labels.kept.all()
    # It takes less care of its wheels than the sim's own filter does.
    assert wrong(labels.mean) < 1.1 * wrong(ours.mean)
    assert np.abs(labels.mean - ours.mean)[:, 20:, :2].mean() < 0.1


def test_a_quaternion_of_another_length_is_refused(tmp_path, scenario):
    imu = scenario("imu_gps")
    packets = Packet(*(np.zeros((1, 2, *n)) for n in ((3,), (1,), (20, 6), (20,))))
    belief = Belief(imu.space.identity()[None], np.eye(15)[None])
    d = Drive(np.array([[0.0, 0.2]]), packets, belief, None)
    with pytest.raises(UserError) as caught:
        label(imu, plain(tmp_path, "return self.x"), d)
    # (1, 1, 1, 2)
    assert "attitude's quaternion has length 2.646 at event 0" in caught.value.why
    assert label(imu, plain(tmp_path, "return self.x - self.event"), d).kept.all()
