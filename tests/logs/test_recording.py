"""Reading CSV logs: laws of events and ticks, a drive that comes back, and every bad input."""

import numpy as np
import pytest
from logmaking import read_log

from kalmanrnn.core.errors import DATA, MISSING, UserError
from kalmanrnn.data.outages import with_outages
from kalmanrnn.logs.recording import geodesy
from kalmanrnn.logs.recording.time_alignment import (
    fill_gaps,
    regularise_stamps,
    split_into_ticks,
    thin,
)
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.scenarios.simulation import simulate_batch

ORIGIN = geodesy.Origin(47.4, 8.5, 430.0)
CLOCK = 1.7e9
MAP = """
imu:
  file: imu.csv
  time: t
  gyro: [wx, wy, wz]
  accel: [ax, ay, az]
  axes: forward-right-down
  gyro_unit: deg/s
  accel_unit: g
gps: {file: gps.csv, time: t, latitude: lat, longitude: lon, altitude: alt,
      speed: v, course: cog, delay_s: 0.07}
"""


@pytest.fixture(scope="module")
def scenario():
    return load_scenario("imu_gps")


@pytest.fixture(scope="module")
def drive(scenario):
    """One simulated drive that moves at its start."""
    import jax

    drives = simulate_batch(scenario, jax.random.key(3), 8, 12.0)
    speed = np.linalg.norm(np.asarray(drives.truth)[:, 0, 4:6], axis=1)
    return jax.tree.map(lambda a: np.asarray(a)[int(speed.argmax())], drives)


@pytest.fixture
def folder(tmp_path, drive):
    """The drive as a user's files: other axes, units, a Unix clock, a late GPS."""
    flip = [1, -1, -1]
    u = drive.packets.u.reshape(-1, 6)
    # A tick's input is the mean of the readings at its ends: readings whose means are u.
    readings = [u[0]]
    for row in u:
        readings.append(2 * row - readings[-1])
    readings = np.array(readings)
    t = CLOCK + 0.01 * np.arange(len(readings))
    gyro, accel = np.degrees(readings[:, :3] * flip), readings[:, 3:] * flip / 9.80665
    write(tmp_path / "imu.csv", "t,wx,wy,wz,ax,ay,az", t, gyro, accel)
    place = geodesy.enu_to_geodetic(ORIGIN, drive.packets.z - drive.packets.z[0])
    v = drive.truth[:, 4:6]
    course = np.degrees(np.arctan2(v[:, 0], v[:, 1])) % 360
    speed = np.linalg.norm(v, axis=1)
    write(tmp_path / "gps.csv", "t,lat,lon,alt,v,cog", CLOCK + 0.07 + drive.t, place, speed, course)
    (tmp_path / "map.yaml").write_text(MAP)
    return tmp_path


def write(path, header, *columns):
    rows = np.column_stack(columns)
    # 15 decimals: a degree of latitude is 111 km.
    lines = [",".join([f"{row[0]:.6f}", *(f"{x:.15g}" for x in row[1:])]) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n")


def edit(path, line, change):
    lines = path.read_text().splitlines()
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines) + "\n")


def refused(scenario, folder, *words, map_file="map.yaml"):
    """Return the error, having checked its code and that its first line has the words."""
    with pytest.raises(UserError) as caught:
        read_log(scenario, folder, folder / map_file)
    assert caught.value.code == DATA
    for word in words:
        assert word in caught.value.what
    return caught.value


def test_a_simulated_drive_comes_back(scenario, drive, folder):
    """Through other axes, units, degrees on the ellipsoid, a Unix clock and a late GPS."""
    log = read_log(scenario, folder, folder / "map.yaml")
    back = log.drive
    assert back.t.shape == (1, len(drive.t))
    assert back.truth is None
    # Unix seconds in float64 and the file's microseconds: 1e-6 s.
    np.testing.assert_allclose(back.t[0], drive.t, atol=2e-6)
    np.testing.assert_allclose(back.packets.z[0], drive.packets.z - drive.packets.z[0], atol=1e-6)
    ticks = back.packets.dt[0] > 5e-6
    ours, theirs = back.packets.u[0, :-1], drive.packets.u[:-1]
    for event in range(len(drive.t) - 1):
        # Stamps rounded to a microsecond split off slivers; a reading's slope times 1e-6 s is
        # what they cost, and consecutive readings here differ by the noise they were made from.
        np.testing.assert_allclose(ours[event][ticks[event]], theirs[event], atol=2e-3)
    level = scenario.space.difference(back.belief.mean[0], drive.truth[0])
    # Heading is the course itself here, tilt from 2 s of gravity while turning and climbing.
    assert abs(level[2]) < 0.01
    assert np.all(np.abs(level[:2]) < 0.15)
    np.testing.assert_array_equal(np.diag(back.belief.cov[0]), np.square(scenario.initial_std))


def test_what_was_converted_is_said(scenario, folder):
    said = "\n".join(read_log(scenario, folder, folder / "map.yaml").notes)
    for words in (
        "axes rotated from forward-right-down to forward-left-up",
        "gyro converted from deg/s to rad/s",
        "accel converted from g to m/s^2",
        "times shifted 0.07 s earlier",
        "heading from the GPS's course",
    ):
        assert words in said


def test_matrix_axes_equal_the_named_ones(scenario, folder):
    named = read_log(scenario, folder, folder / "map.yaml").drive
    matrix = MAP.replace("forward-right-down", "[[1, 0, 0], [0, -1, 0], [0, 0, -1]]")
    (folder / "map.yaml").write_text(matrix)
    given = read_log(scenario, folder, folder / "map.yaml").drive
    np.testing.assert_array_equal(named.packets.u, given.packets.u)


def test_without_speed_and_course_positions_give_them(scenario, folder, drive):
    text = MAP.replace("speed: v, course: cog, ", "")
    (folder / "map.yaml").write_text(text)
    log = read_log(scenario, folder, folder / "map.yaml")
    assert any("no velocity; differentiated from positions" in note for note in log.notes)
    # A parabola's end slope over 2 s of ten fixes with 1 m of noise: about 2 m/s.
    found = log.drive.belief.mean[0, 4:6]
    assert np.linalg.norm(found - drive.truth[0, 4:6]) < 5.0


def test_ticks_add_up_to_the_time_between_events():
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.uniform(0.005, 0.02, 2000))
    events = np.sort(rng.uniform(t[0], t[-1], 60))
    u, dt = split_into_ticks(events, t, rng.normal(size=(2000, 6)))
    assert u.shape == (*dt.shape, 6)
    # float64 seconds up to 25: rounding is 4e-15 each.
    np.testing.assert_allclose(dt.sum(axis=1)[:-1], np.diff(events), atol=1e-12)
    assert dt[-1].sum() == 0
    assert np.all(dt >= 0)


def test_an_event_splits_the_tick_it_falls_into():
    """Straight-line readings: a tick's input is the line's value at its middle, wherever cut."""
    t = np.arange(0, 1.01, 0.1)
    u, dt = split_into_ticks(np.array([0.05, 0.42, 0.7]), t, 3.0 * t[:, None])
    np.testing.assert_allclose(dt[0], [0.05, 0.1, 0.1, 0.1, 0.02], atol=1e-12)
    np.testing.assert_allclose(dt[1, :3], [0.08, 0.1, 0.1], atol=1e-12)
    np.testing.assert_allclose(u[0, :, 0], 3 * np.array([0.075, 0.15, 0.25, 0.35, 0.41]))
    integral = (u[..., 0] * dt).sum(axis=1)
    np.testing.assert_allclose(integral[:2], 1.5 * np.diff(np.square([0.05, 0.42, 0.7])))


def test_fast_fixes_are_thinned_and_gaps_filled():
    t = np.concatenate([np.arange(10) * 0.1, [1.9]])
    used = thin(t, 0.15)
    np.testing.assert_allclose(t[used], [0, 0.2, 0.4, 0.6, 0.8, 1.9])
    times, seen = fill_gaps(t[used], 0.2)
    np.testing.assert_allclose(times[seen], t[used])
    assert np.diff(times).min() > 0.2 - 1e-9
    assert np.diff(times).max() < 0.4
    assert (~seen).sum() == 4


def test_jittery_stamps_return_to_the_receivers_clock():
    rng = np.random.default_rng(1)
    epochs = np.delete(np.arange(600), [50, 51, 300])
    true = 46000.0 + 0.099998 * epochs
    even, found = regularise_stamps(true + rng.uniform(-0.03, 0.03, len(true)), 0.1)
    np.testing.assert_array_equal(found - found[0], epochs)
    # A line through 597 stamps that wander by 17 ms: 2 ms at its ends, three deviations.
    np.testing.assert_allclose(even, true, atol=5e-3)


def test_geodesy_knows_the_earth():
    """One second of latitude and of longitude on WGS 84 at 47.4 degrees; the equator's radius."""
    second = geodesy.Origin(47.4 + 1 / 3600, 8.5 + 1 / 3600, 430.0)
    east, north, _ = geodesy.geodetic_to_enu(ORIGIN, np.array([second]))[0]
    # Radii of curvature: M = 6370135 m, N cos(lat) = 4335190 m, both + 430 m of height.
    flattening, a, lat = 1 / 298.257223563, 6378137.0, np.radians(47.4)
    e2 = flattening * (2 - flattening)
    bend = 1 - e2 * np.sin(lat) ** 2
    meridian, parallel = a * (1 - e2) / bend**1.5, a / bend**0.5 * np.cos(lat)
    # Straight axes against a curved earth, 40 m away: well under a millimetre.
    assert north == pytest.approx((meridian + 430) * np.radians(1 / 3600), abs=1e-3)
    assert east == pytest.approx((parallel + 430 * np.cos(lat)) * np.radians(1 / 3600), abs=1e-3)
    greenwich = geodesy.Origin(0.0, 0.0, 0.0)
    place = geodesy.ecef_to_enu(greenwich, np.array([[a + 1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(place, [[2.0, 3.0, 1.0]], atol=1e-6)
    np.testing.assert_allclose(
        geodesy.enu_axes(greenwich), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-12
    )


def test_outages_hide_the_gps_and_nothing_else(scenario, drive):
    out = with_outages(drive, [2.0, 6.0], 3.0)
    # Multiples of 0.2 in binary: decide by the event's number.
    number = np.round(drive.t * 5).astype(int)
    hidden = ((number >= 10) & (number < 25)) | ((number >= 30) & (number < 45))
    np.testing.assert_array_equal(out.packets.seen[:, 0], ~hidden)
    assert not out.packets.z[hidden].any()
    np.testing.assert_array_equal(out.packets.z[~hidden], drive.packets.z[~hidden])
    assert out.packets.u is drive.packets.u


def test_missing_pymap3d_names_the_extra(scenario, folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pymap3d", None)
    with pytest.raises(UserError) as caught:
        read_log(scenario, folder, folder / "map.yaml")
    assert caught.value.code == MISSING
    assert caught.value.cure == "pip install 'kalmanrnn[logs]'"


def test_a_scenario_whose_inputs_are_not_there_is_refused(scenario, folder):
    (folder / "map.yaml").write_text("".join(MAP.partition("gps: ")[1:]))
    error = refused(scenario, folder, "the log has no gyro_x, gyro_y")
    assert "gps_east" in error.why
