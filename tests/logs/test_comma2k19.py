"""A real car's minute: what our filters make of it, and what was found about its reference."""

from functools import partial

import jax
import numpy as np
import pytest
from helpers import TEST_DATA
from logmaking import read_log
from scipy.spatial.transform import Rotation, Slerp

from kalmanrnn.data.outages import with_outages
from kalmanrnn.filters.ekf import ekf
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.filters.ukf import ukf
from kalmanrnn.logs.recording import geodesy
from kalmanrnn.scenarios.scenario import load_scenario

FOLDER = TEST_DATA / "comma2k19_drive"


@pytest.fixture(scope="module")
def scenario():
    return load_scenario("imu_gps")


@pytest.fixture(scope="module")
def filters(scenario):
    return {f.__name__: jax.jit(partial(rollout, f(scenario))) for f in (ukf, ekf)}


def log_with(scenario, folder, old="", new=""):
    text = (FOLDER / "map.yaml").read_text()
    assert old in text
    (folder / "map.yaml").write_text(text.replace(old, new))
    return read_log(scenario, FOLDER, folder / "map.yaml")


def errors(run, drive):
    """Return the 2-D error at each event [m]."""
    with jax.enable_x64(True):
        track = run(jax.tree.map(jax.numpy.asarray, drive._replace(truth=None)))
    return np.linalg.norm(np.asarray(track.mean)[0, :, 7:9] - drive.truth[0, :, 7:9], axis=1)


def rmse(size, drive):
    """Leave out the first 5 s."""
    return float(np.sqrt(np.mean(size[drive.t[0] >= 5] ** 2)))


def raw(drive):
    fixes = np.linalg.norm(drive.packets.z[0, :, :2] - drive.truth[0, :, 7:9], axis=1)
    return rmse(fixes, drive)


def test_filters_beat_the_gps_on_the_reference_as_stamped(scenario, filters, tmp_path):
    """Measured 0.534 (UKF), 0.532 (EKF), 0.546 (GPS); 0.50 of each is a constant offset."""
    log = log_with(scenario, tmp_path, "  delay_s: 0.01", "  # delay_s: 0.01")
    assert "not an independent truth" in log.recording.reference_note
    assert log.drive.packets.seen.all()
    for run in filters.values():
        assert rmse(errors(run, log.drive), log.drive) < min(0.54, raw(log.drive))


def test_the_bar_holds_once_the_reference_lag_is_taken_out(scenario, filters):
    """Measured 0.457 (UKF), 0.454 (EKF), 0.464 (GPS)."""
    log = read_log(scenario, FOLDER, FOLDER / "map.yaml")
    assert any("reference.csv: times shifted 0.01 s" in note for note in log.notes)
    for run in filters.values():
        assert rmse(errors(run, log.drive), log.drive) < min(0.52, raw(log.drive))


def test_an_undeclared_delay_costs_a_metre(scenario, filters, tmp_path):
    """Measured 1.52 m."""
    log = log_with(scenario, tmp_path, "  delay_s: 0.1\n", "")
    assert 1.4 < rmse(errors(filters["ukf"], log.drive), log.drive) < 1.7


def test_dead_reckoning_through_ten_seconds_without_gps(scenario, filters):
    """Measured at the ends: UKF 5.1 and 1.5 m, EKF 3.5 and 1.1 m; the car went 170 m."""
    drive = with_outages(read_log(scenario, FOLDER, FOLDER / "map.yaml").drive, [15, 35], 10)
    for run in filters.values():
        size = errors(run, drive)
        ends = [size[drive.t[0] < start + 10][-1] for start in (15, 35)]
        assert max(ends) < 8.0


def test_the_quaternion_turns_forward_right_down_into_earth_axes(scenario):
    """Course and gravity say so: the heading is the course's, specific force points up."""
    truth = read_log(scenario, FOLDER, FOLDER / "map.yaml").drive.truth[0]
    assert np.isnan(truth[:, 10:]).all()
    body = Rotation.from_quat(truth[:, :4])
    ahead = body.apply([1.0, 0.0, 0.0])
    turn = ahead[:, 0] * truth[:, 5] - ahead[:, 1] * truth[:, 4]
    off_course = np.degrees(np.arcsin(turn / np.linalg.norm(truth[:, 4:6], axis=1)))
    # The device looks 0.9 degrees beside the road; a wrong convention is off by tens.
    assert np.abs(off_course).max() < 2.0
    assert body.apply([0.0, 0.0, 1.0])[:, 2].min() > np.cos(np.radians(10.0))


def test_the_reference_positions_lag_the_imu_by_ten_milliseconds():
    """Found without the GPS: second differences over 0.2 s against the accelerometer, twice."""
    imu = np.loadtxt(FOLDER / "imu.csv", delimiter=",", skiprows=1)
    ref = np.loadtxt(FOLDER / "reference.csv", delimiter=",", skiprows=1)
    origin = geodesy.Origin(37.721, -122.4723, 33.0)
    to_enu, t = geodesy.enu_axes(origin), ref[:, 0]
    position = geodesy.ecef_to_enu(origin, ref[:, 1:4])
    device = Rotation.from_matrix(to_enu) * Rotation.from_quat(ref[:, [8, 9, 10, 7]])
    middle, n = np.arange(14, len(t) - 14), 4

    def second(x):
        after, before = t[middle + n] - t[middle], t[middle] - t[middle - n]
        up = (x[middle + n] - x[middle]) / after[:, None]
        return up - (x[middle] - x[middle - n]) / before[:, None]

    def total(x):
        steps = 0.5 * (x[1:] + x[:-1]) * np.diff(imu[:, 0])[:, None]
        return np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])

    def misfit(lag):
        at = np.clip(imu[:, 0] + lag, t[0], t[-1])
        place = total(total(Slerp(t, device)(at).apply(imu[:, 4:]) - [0, 0, 9.8]))
        moved = np.stack([np.interp(t - lag, imu[:, 0], p) for p in place.T], axis=-1)
        error = (second(moved) - second(position))[:, :2]
        return np.square(error - error.mean(axis=0)).sum()

    lags = np.arange(-0.03, 0.0501, 0.002)
    best = lags[np.argmin([misfit(lag) for lag in lags])]
    # Six stretches of ten seconds give 3 to 13 ms each, their mean has a spread of 1.5 ms.
    assert best == pytest.approx(0.010, abs=0.003)
