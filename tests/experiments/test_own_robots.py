"""Robots of one's own: sensors in turn, the two shipped examples, copies, and the page on them."""

import re
import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT

from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.data.augmentation import rotate_yaw
from kalmanrnn.data.teacher_runs import teacher_estimates
from kalmanrnn.filters.filterpy_reference import REFERENCES, relative_difference
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.logs.binding.bound_log import bind_log
from kalmanrnn.scenarios.catalogue import copy_sim, exports_task, find_sim, list_sims
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.scenarios.sensors import Channel, Gps, Sensor
from kalmanrnn.scenarios.simulation import simulate_batch

DATA = ROOT / "tests" / "data"
RADAR_LIDAR = DATA / "udacity_radar_lidar" / "obj_pose-laser-radar-synthetic-input.txt"
KINDS = pytest.mark.parametrize("kind", ["ekf", "ukf"])
SIMS = pytest.mark.parametrize("name", ["radar_lidar", "wifibot"])


@pytest.fixture(scope="module")
def own_robots():
    """Return what benchmarks/own_robots.py defines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return runpy.run_path(str(ROOT / "benchmarks" / "own_robots.py"))


def errors(scenario, truth, mean):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(jax.vmap(scenario.space.difference)))(truth, mean))


def nees(scenario, drives, run):
    """Normalised estimation error squared per dimension `[B, E]`."""
    e = errors(scenario, drives.truth, run.mean)
    square = np.einsum("bed,bed->be", e, np.linalg.solve(run.cov, e[..., None])[..., 0])
    return square / e.shape[-1]


def with_sensors(*changes, **more):
    """The linear robot with one GPS per change."""
    linear = load_scenario("linear", ["tick_hz=60"])
    sensors = tuple(
        replace(Gps(10.0, (1.0, 1.0), measure=lambda x: x[:2]), name=f"gps_{i}", **change)
        for i, change in enumerate(changes)
    )
    return replace(linear, sensors=sensors, **more)


def test_sensors_take_turns(drives):
    d = drives("radar_lidar", count=4, seconds=10.0)
    assert load_scenario("radar_lidar").event_hz == 20.0
    np.testing.assert_allclose(np.diff(d.t), 0.05, rtol=1e-12)
    np.testing.assert_array_equal(d.packets.seen[..., 0], np.arange(200) % 2 == [[0]] * 4)
    np.testing.assert_array_equal(d.packets.seen[..., 1], ~d.packets.seen[..., 0])
    assert not d.packets.z[:, 1::2, :2].any()
    assert not d.packets.z[:, ::2, 2:].any()


@pytest.mark.parametrize("change", [{}, {"rate_hz": 5.0}, {"rate_hz": 1.0}])
def test_without_offsets_the_fastest_sensor_is_the_clock(change):
    assert with_sensors({}, change).event_hz == 10.0


@pytest.mark.parametrize(
    ("changes", "event_hz", "first", "every"),
    [
        (({}, {"rate_hz": 5.0, "offset_s": 0.15}), 20.0, (0, 3), (2, 4)),
        (({}, {"offset_s": 1 / 30}, {"offset_s": 2 / 30}), 30.0, (0, 1, 2), (3, 3, 3)),
        (({"offset_s": 0.05}, {"offset_s": 1 / 60}), 60.0, (3, 1), (6, 6)),
    ],
)
def test_events_are_the_slowest_clock_that_all_fall_on(changes, event_hz, first, every):
    scenario = with_sensors(*changes)
    assert scenario.event_hz == pytest.approx(event_hz, rel=1e-12)
    d = simulate_batch(scenario, jax.random.key(0), 2, 1.0)
    events = np.arange(round(event_hz))
    for i, (begin, period) in enumerate(zip(first, every, strict=True)):
        np.testing.assert_array_equal(d.packets.seen[0, :, i], events % period == begin)
        # What was seen is the truth at that very event, and a noise of 1 m.
        there = np.asarray(d.packets.seen[..., i])
        off = np.asarray(d.packets.z[..., 2 * i : 2 * i + 2] - d.truth[..., :2])[there]
        assert np.abs(off).max() < 5.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset_s": 0.1}, "offset_s must be 0 or more and less than the period 0.1 s, got 0.1"),
        ({"offset_s": -0.01}, "offset_s must be 0 or more"),
        ({"offset_s": float("nan")}, "offset_s must be 0 or more"),
        ({"offset_s": 0.033}, "offset_s 0.033 fits no event rate.*such as 0.0333333333"),
        ({"offset_s": 0.025}, r"event rate 40.0 Hz must divide tick_hz 60"),
        ({"angular": (True,)}, "2 channels but 1 values in angular"),
    ],
)
def test_impossible_turns_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        with_sensors({}, change)


def test_the_offset_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"gps_2: offset_s 0.033 fits no event rate"):
        with_sensors({}, {"offset_s": 0.05}, {"offset_s": 0.033})
    with pytest.raises(ValueError, match=r"event rate 40.0 Hz must divide tick_hz 60"):
        with_sensors({"rate_hz": 40.0}, {"rate_hz": 40.0, "offset_s": 1 / 60})


def test_an_angle_among_other_readings_wraps_alone():
    sensor = load_scenario("radar_lidar").sensors[1]
    assert sensor.angular == (False, True, False)
    scenario = load_scenario("radar_lidar")
    np.testing.assert_array_equal(scenario.angular, [False, False, False, True, False])
    found = scenario.innovation(jnp.full(5, 6.0), jnp.zeros(5))
    np.testing.assert_allclose(found, [6, 6, 6, 6 - 2 * np.pi, 6], rtol=1e-6)
    all_angles = Sensor("s", (Channel("a", "rad"),) * 2, 1.0, (1.0, 1.0), lambda x: x, True)
    assert replace(scenario, sensors=(all_angles,)).angular.all()


@KINDS
@SIMS
def test_equal_to_filterpy_over_a_whole_drive(kind, name, scenario, drives, filtered):
    d = drives(name, count=4, seconds=10.0)
    run = jax.tree.map(lambda a: a[0], filtered(kind, name, drives=d))
    theirs = REFERENCES[kind](scenario(name), jax.tree.map(lambda a: a[0], d))
    assert theirs.failures == 0
    # Rounding, carried along a drive, gives up to 1e-12 of the filter's own sigma.
    assert relative_difference(scenario(name), run, theirs) < 1e-9


@KINDS
@pytest.mark.parametrize(("name", "seconds"), [("radar_lidar", 25.0), ("wifibot", 40.0)])
def test_consistent_after_convergence(kind, name, seconds, scenario, drives, filtered):
    d = drives(name, count=64, seconds=seconds)
    e = nees(scenario(name), d, filtered(kind, name, drives=d))
    per_dimension = e[:, e.shape[1] // 4 :].mean()
    print(f"{name} {kind}: NEES per dimension {per_dimension:.3f}, allowed 0.8 to 1.3")
    assert 0.8 < per_dimension < 1.3


@pytest.mark.parametrize(("name", "seconds"), [("radar_lidar", 25.0), ("wifibot", 40.0)])
def test_first_beliefs_are_as_wide_as_they_say(name, seconds, scenario, drives):
    d = drives(name, count=64, seconds=seconds)
    e = errors(scenario(name), d.truth[:, :1], d.belief.mean[:, None])[:, 0]
    # 64 draws: three standard errors of their deviation are 27 %; uniform ones spread less.
    np.testing.assert_allclose(e.std(axis=0), scenario(name).initial_std, rtol=0.27)


@SIMS
def test_measurements_are_as_noisy_as_stated(name, scenario, drives):
    s, d = scenario(name), drives(name, count=64, seconds=25.0 if name == "radar_lidar" else 40.0)
    with jax.enable_x64(True):
        ideal = jax.jit(jax.vmap(jax.vmap(s.measure)))(d.truth)
        error = np.asarray(s.innovation(d.packets.z, ideal))
    seen = s.mask(d.packets.seen)
    for column, sigma in enumerate(s.sigma):
        # 5,000 readings or more: three standard errors of their deviation are 3 %.
        assert error[..., column][seen[..., column]].std() == pytest.approx(sigma, rel=0.03)


def test_the_filters_answer_turns_with_the_world(scenario, drives):
    s, d = scenario("wifibot"), drives("wifibot", count=4, seconds=10.0)
    with jax.enable_x64(True):
        run = teacher_estimates(s, "ukf", d)
        angles = np.array([0.7, -2.0, 3.0, 1.0])
        about, expected = rotate_yaw(s, d, run, angles)
        found = teacher_estimates(s, "ukf", about)
        off = errors(s, np.asarray(expected.mean), np.asarray(found.mean))
    # The UKF's sigma points lie along other axes in a turned world, which moves its mean by
    # little where the world is nearly linear and never by what matters.
    sigma = np.sqrt(np.diagonal(run.cov, axis1=-2, axis2=-1))
    assert np.median(np.abs(off) / sigma) < 0.01
    assert np.abs(np.asarray(about.truth) - d.truth).max() > 1.0


@pytest.mark.usefixtures("float64")
def test_the_arc_is_exact():
    """A constant turn in one tick ends where ten thousand straight steps do."""
    scenario = load_scenario("radar_lidar")
    start = jnp.array([1.0, -2.0, 5.0, 0.3, 0.8])
    one = scenario.process(start, jnp.zeros(0), jnp.asarray(2.0))
    heading = 0.3 + 0.8 * 2.0 * (np.arange(10_000) + 0.5) / 10_000
    path = 5.0 * 2.0 * np.stack([np.cos(heading), np.sin(heading)]).mean(axis=1)
    np.testing.assert_allclose(one[:2], start[:2] + path, rtol=1e-8)
    np.testing.assert_allclose(one[2:], [5.0, 0.3 + 1.6, 0.8], rtol=1e-12)
    still = scenario.process(start.at[4].set(0.0), jnp.zeros(0), jnp.asarray(2.0))
    np.testing.assert_allclose(still[:2], [1 + 10 * np.cos(0.3), -2 + 10 * np.sin(0.3)])


@pytest.mark.usefixtures("float64")
def test_range_rate_is_the_ranges_slope():
    scenario = load_scenario("radar_lidar")
    x, dt = jnp.array([3.0, 4.0, 5.0, 2.0, 0.4]), 1e-5
    ahead, back = (scenario.process(x, jnp.zeros(0), jnp.asarray(s * dt)) for s in (1, -1))
    slope = (scenario.measure(ahead)[2] - scenario.measure(back)[2]) / (2 * dt)
    np.testing.assert_allclose(scenario.measure(x)[4], slope, rtol=1e-6)


def test_a_log_starts_as_a_simulated_drive_does(own_robots):
    scenario = load_scenario("radar_lidar")
    log = bind_log(scenario, own_robots["radar_lidar_recording"](RADAR_LIDAR))
    assert log.drive.packets.seen.shape == (1, 500, 2)
    np.testing.assert_array_equal(log.drive.packets.seen[0, :2], [[True, False], [False, True]])
    # float32 suffices for a position within 30 m of the sensors.
    first = np.array([*log.drive.packets.z[0, 0, :2], 5.0, 0.0, 0.0])
    np.testing.assert_allclose(log.drive.belief.mean[0], first, rtol=1e-6)


def test_ukf_is_within_the_courses_limits(own_robots):
    scenario = load_scenario("radar_lidar")
    drive = bind_log(scenario, own_robots["radar_lidar_recording"](RADAR_LIDAR)).drive
    run = teacher_estimates(scenario, "ukf", drive)
    off = own_robots["cartesian"](np.asarray(run.mean)) - own_robots["cartesian"](drive.truth)
    rmse = np.sqrt(np.mean(off**2, axis=(0, 1)))
    assert (rmse < own_robots["LIMITS"]).all()
    # As good as a textbook filter of the same model on this file, (.069, .082, .288, .191),
    # whose speed starts at 0; to a tenth.
    assert (rmse < 1.1 * np.array([0.069, 0.082, 0.288, 0.191])).all()
    assert 0.7 < nees(scenario, drive, run).mean() < 1.3


@pytest.mark.parametrize("seed", [0, 1])
def test_ukf_on_the_wheeled_robot(seed, own_robots):
    scenario = load_scenario("wifibot")
    recording = own_robots["wifibot_recording"](DATA / "wifibot" / "wifibot1.txt", seed)
    drive = bind_log(scenario, recording).drive
    assert np.abs(np.degrees(drive.belief.mean[0, 2] - drive.truth[0, 0, 2])) == pytest.approx(30)
    run = teacher_estimates(scenario, "ukf", drive)
    off = np.asarray(run.mean)[..., :2] - drive.truth[..., :2]
    rmse = np.sqrt(np.nanmean(np.sum(off**2, axis=-1)))
    # PositionFixes alone have 0.1 m in each axis.
    assert rmse < 0.6 * np.hypot(0.1, 0.1)
    known = np.isfinite(drive.truth).all(axis=-1)
    assert 0.5 < nees(scenario, drive, run)[known].mean() < 1.8


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "imu_gps" else [])
        for name, _ in list_sims()
        if not exports_task(name)
    ],
)
def test_a_copy_runs_by_itself(name, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    copy_sim(name, Path("my_robot.py"))
    copied, shipped = load_scenario("./my_robot.py"), load_scenario(name)
    assert copied.name == "my_robot"
    assert (copied.space, copied.inputs) == (shipped.space, shipped.inputs)
    first = find_sim(name).read_text().splitlines()[0]
    assert Path("my_robot.py").read_text().splitlines()[0] == first
    d = simulate_batch(copied, jax.random.key(0), 2, 3 / copied.event_hz)
    same = simulate_batch(shipped, jax.random.key(0), 2, 3 / shipped.event_hz)
    np.testing.assert_array_equal(d.truth, same.truth)


@pytest.mark.parametrize(
    ("name", "target", "what", "cure"),
    [
        ("rovr", "own.py", "no sim named 'rovr'", "kalmanrnn sims copy rover own.py"),
        ("../rover", "own.py", "no sim named", "kalmanrnn sims copy"),
        ("rover", "own.txt", "not a valid file name", "kalmanrnn sims copy rover own.py"),
        (
            "rover",
            "own robot.py",
            "not a valid file name",
            "kalmanrnn sims copy rover own_robot.py",
        ),
        ("rover", "7.py", "not a valid file name", "kalmanrnn sims copy rover my_robot.py"),
        ("rover", 'x".py', "not a valid file name", "kalmanrnn sims copy rover x_.py"),
        ("rover", "no/such/own.py", "there is no folder no/such", "mkdir -p no/such"),
        ("rover", "there.py", "there.py exists", "kalmanrnn sims copy rover there_2.py"),
    ],
)
def test_copies_that_are_refused(name, target, what, cure, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there.py").write_text("mine\n")
    with pytest.raises(UserError) as caught:
        copy_sim(name, Path(target))
    assert what in caught.value.what
    assert caught.value.cure.startswith(cure)
    assert caught.value.code == USAGE
    assert len(str(caught.value).splitlines()) == 3
    assert [p.name for p in Path().iterdir()] == ["there.py"]
    assert Path("there.py").read_text() == "mine\n"


def test_the_page_shows_the_file_as_it_is():
    page = (ROOT / "docs" / "your-own-robot.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert find_sim("radar_lidar").read_text() in blocks


def test_the_pages_own_robot_runs(tmp_path):
    """Every other whole scenario on the page loads and makes drives."""
    page = (ROOT / "docs" / "your-own-robot.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    whole = [b for b in blocks if "SCENARIO =" in b]
    for i, text in enumerate(whole):
        (tmp_path / f"robot_{i}.py").write_text(text)
        scenario = load_scenario(tmp_path / f"robot_{i}.py")
        d = simulate_batch(scenario, jax.random.key(0), 2, 3.0)
        with jax.enable_x64(True):
            run = jax.jit(partial(rollout, FILTERS["ukf"](scenario)))(d)
        assert np.isfinite(np.asarray(run.mean)).all()
    assert whole
