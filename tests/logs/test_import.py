"""Importing logs: what was simulated comes back from a bag, and real logs say what they should."""

import re

import numpy as np
import pytest
from helpers import ROOT, SHARED, TEST_DATA
from logmaking import (
    EPOCH,
    FIX,
    IMU,
    fix,
    fix_message,
    imu,
    imu_message,
    odometry,
    readings,
    source_of,
    write_bag,
)

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.errors import UserError
from kalmanrnn.logs import importer
from kalmanrnn.logs.conversion import extrinsics
from kalmanrnn.logs.conversion.imu_consistency import best_comparison, turn_rates
from kalmanrnn.logs.importer import import_log
from kalmanrnn.logs.mapping.parse import parse_map
from kalmanrnn.logs.recording import geodesy
from kalmanrnn.logs.recording.recording import check_stream, load_recording, save_recording

HUSKY = TEST_DATA / "husky_bag" / "husky_60s.bag"
PX4 = TEST_DATA / "px4_ulog" / "sample_log_small.ulg"
COMMA = TEST_DATA / "comma2k19_drive"
TRUTH = SHARED / "px4_ulog" / "sample_logging_tagged_and_default_params.ulg"
ORIGIN = geodesy.Origin(47.4, 8.5, 430.0)


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """(source, map text or None) -> its recording."""

    def run(source, text=None):
        log = tmp_path / "robot.log"
        log.touch()
        monkeypatch.setattr(importer, "open_log", lambda _: source)
        if text is None:
            return import_log(log)
        (tmp_path / "map.yaml").write_text(text)
        return import_log(log, tmp_path / "map.yaml")

    return run


@pytest.fixture(scope="module")
def drive(drives):
    """Inputs `[n, 6]` of a simulated drive at 100 Hz, and fixes `[e, 3]` at 5 Hz from the first."""
    made = drives("imu_gps", count=1, seconds=8.0)
    u = made.packets.u[0, :-1].reshape(-1, 6)
    return u, made.packets.z[0] - made.packets.z[0, 0], made.t[0]


def same(a, b):
    assert [s.name for s in a.streams] == [s.name for s in b.streams]
    every = zip([*a.streams, a.reference], [*b.streams, b.reference], strict=True)
    for one, other in every:
        if one is None:
            assert other is None
            continue
        np.testing.assert_array_equal(one.t, other.t)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.variance, other.variance)
        assert one.channels == other.channels
    said = [[n for n in x.notes if not n.startswith("guessed")] for x in (a, b)]
    assert said[0] == said[1]
    assert a.origin == b.origin


@pytest.mark.parametrize(("storage", "flip"), [("mcap", 1), ("sqlite3", 1), ("mcap", -1)])
def test_a_simulated_drive_comes_back_from_a_bag(tmp_path, drive, storage, flip):
    """Where flipped, the IMU is logged forward-right-down and its map guessed by gravity."""
    u, z, at = drive
    turn = np.tile([1.0, flip, flip], 2)
    place = geodesy.enu_to_geodetic(ORIGIN, z)
    rows = [(round(i * 1e7), imu_message(*np.split(x * turn, 2))) for i, x in enumerate(u)]
    fixes = [(round(t * 1e9), fix_message(p)) for t, p in zip(at, place, strict=True)]
    bag = write_bag(tmp_path / "bag", storage, {"/imu": (IMU, rows), "/fix": (FIX, fixes)})
    back = import_log(bag)
    assert back.start == pytest.approx(EPOCH, abs=1e-6)
    # The bag holds the very numbers; sign flips lose nothing.
    np.testing.assert_allclose(back.stream("imu").values, u, atol=1e-9, rtol=0)
    # Unix seconds in float64: 2.4e-7 s.
    np.testing.assert_allclose(back.stream("imu").t, 0.01 * np.arange(len(u)), atol=5e-7)
    np.testing.assert_allclose(back.stream("gps").t, at, atol=5e-7)
    # Degrees in float64 are 1e-9 m; the first fix is the origin on both sides.
    np.testing.assert_allclose(back.stream("gps").values, z, atol=1e-6)
    assert ("forward-left-up" in " ".join(back.notes)) == (flip < 0)


@pytest.mark.parametrize("ints", [True, False])
def test_a_simulated_drive_comes_back_from_px4(imported, drive, ints):
    u, z, at = drive
    frd = u * np.tile([1.0, -1.0, -1.0], 2)
    names = [f"gyro_rad[{i}]" for i in range(3)] + [f"accelerometer_m_s2[{i}]" for i in range(3)]
    t = 3.0 + 0.01 * np.arange(len(u))
    combined = readings(
        "sensor_combined", "px4/sensor_combined", t, dict(zip(names, frd.T, strict=True))
    )
    place = geodesy.enu_to_geodetic(ORIGIN, z)
    keys = ("lat", "lon", "alt") if ints else ("latitude_deg", "longitude_deg", "altitude_msl_m")
    fields = dict(zip(keys, (place / ([1e-7, 1e-7, 1e-3] if ints else 1)).T, strict=True))
    if ints:
        fields = {key: np.round(value) for key, value in fields.items()}
    n = len(z)
    fields |= {"fix_type": np.full(n, 3.0), "eph": np.full(n, 2.0), "epv": np.full(n, 3.0)}
    fields |= {"vel_n_m_s": np.full(n, 1.0), "vel_e_m_s": np.full(n, 2.0)}
    fields |= {"vel_d_m_s": np.full(n, 3.0), "vel_ned_valid": np.ones(n)}
    fields |= {"s_variance_m_s": np.full(n, 0.5)}
    gps = readings("vehicle_gps_position", "px4/vehicle_gps_position", 3 + at, fields)
    back = imported(source_of(combined, gps, kind="ulog"))
    np.testing.assert_allclose(back.stream("imu").values, u, atol=1e-12, rtol=0)
    # 1e-7 degrees are 11 mm, rounded to half of it at both ends.
    np.testing.assert_allclose(back.stream("gps").values, z, atol=1.3e-2 if ints else 1e-6)
    np.testing.assert_allclose(back.stream("gps").variance, np.tile([4.0, 4.0, 9.0], (n, 1)))
    np.testing.assert_array_equal(back.stream("gps_velocity").values[0], [2.0, 1.0, -3.0])
    np.testing.assert_array_equal(back.stream("gps_velocity").variance[0], [0.25] * 3)


def test_covariances_by_the_conventions_of_ros(tmp_path):
    """Zeros are unknown, -1 says that a field is absent, and axes turn with the vectors."""
    still, up = np.zeros(3), [0.0, 0.0, 9.8]
    full = np.array([[3.0, 1, 0], [1, 2, 0], [0, 0, 1]])
    cases = [(full, 0.0), (0.5, 0.25), (np.diag([-1.0, 0, 0]), 0.25)]
    rows = [(i * 10**7, imu_message(still, up, *c)) for i, c in enumerate(cases)]
    known, unknown = (2, np.diag([1.0, 4.0, 9.0])), (0, np.eye(3))
    fixes = [(i * 10**7, fix_message([47.0, 8.0, 4.0 + i], c, k))
             for i, (k, c) in enumerate([known, unknown, (2, np.zeros((3, 3)))])]  # fmt: skip
    bag = write_bag(tmp_path / "bag", "mcap", {"/imu": (IMU, rows), "/fix": (FIX, fixes)})
    (tmp_path / "map.yaml").write_text(
        "imu: {topic: /imu, axes: [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]}\ngps: {topic: /fix}"
    )
    back = import_log(bag, tmp_path / "map.yaml")
    np.testing.assert_array_equal(
        back.stream("imu").variance, [[2, 3, 1, *[np.nan] * 3], [0.5] * 3 + [0.25] * 3]
    )
    assert any("/imu, imu: 1 readings that are not finite" in note for note in back.notes)
    nans = [np.nan] * 3
    np.testing.assert_array_equal(back.stream("gps").variance, [[1.0, 4.0, 9.0], nans, nans])


def test_logs_gone_wrong_are_guessed_or_refused(imported):
    """Values that no sensor says, one field at a time: what comes back can be saved, or why not."""
    t = EPOCH + np.arange(0, 20, 0.1)
    refusals = 0
    for value in (np.nan, np.inf, -1e300, 0.0, 91.0):
        for topic in ("/imu", "/fix", "/odom"):
            for field in (0, 3, 7, "stamp"):
                still = np.zeros(len(t))
                log = {r.topic.name: r for r in (imu(t), fix(t), odometry(t, still, still))}
                fields = log[topic].fields
                name = field if field == "stamp" else list(fields)[field % len(fields)]
                place = log[topic].stamp_t if name == "stamp" else fields[name].copy()
                place[::2] = value
                fields |= {} if name == "stamp" else {name: place}
                try:
                    back = imported(source_of(*log.values()))
                except UserError:
                    refusals += 1
                    continue
                for stream in back.streams:
                    check_stream(stream)
    assert 0 < refusals < 30


@pytest.mark.parametrize("log", [HUSKY, PX4, COMMA, TRUTH], ids=lambda p: p.name)
def test_the_map_that_was_guessed_gives_the_same_drive(tmp_path, log):
    if not log.exists():
        pytest.skip(f"{log.name} is not here")
    guessed = import_log(log)
    (tmp_path / "drive.map.yaml").write_text(guessed.map)
    same(guessed, import_log(log, tmp_path / "drive.map.yaml"))


def test_a_husky_and_its_turned_imu():
    """Gravity lies on y; -z is forward, by the wheels and by the attitude that the IMU states."""
    back = import_log(HUSKY)
    assert "axes: [[0, 0, -1], [-1, 0, 0], [0, 1, 0]]" in back.map
    force = back.stream("imu").values[:, 3:].mean(axis=0)
    assert force[2] / np.linalg.norm(force) > 0.999
    # Turn rates of the IMU and of the wheels, over half-second means, are the same up to slip.
    wheels = back.stream("odometry")
    at = np.arange(2.0, 58.0, 0.5)
    rate = [
        np.interp(at, s.t, np.convolve(s.values[:, c], np.ones(k) / k, "same"))
        for s, c, k in ((back.stream("imu"), 2, 15), (wheels, 5, 5))
    ]
    assert np.corrcoef(rate)[0, 1] > 0.8
    assert back.stream("gps").variance.min() > 0
    assert "reference" not in back.map
    assert [len(s.t) for s in back.streams] == [1801, 150, 600]


def test_px4_on_a_real_vehicle():
    back = import_log(PX4)
    assert [s.name for s in back.streams] == [
        *("imu", "gps", "gps_velocity", "magnetometer", "barometer")
    ]
    force = np.linalg.norm(back.stream("imu").values[:, 3:].mean(axis=0))
    assert force == pytest.approx(9.8, abs=0.3)
    assert back.stream("imu").values[:, 5].mean() > 9
    # Trondheim; its field is 52 uT strong, the board's own currents change it by a few.
    assert back.origin.latitude == pytest.approx(63.417, abs=1e-3)
    assert np.linalg.norm(back.stream("magnetometer").values.mean(axis=0)) == pytest.approx(
        5.2e-5, rel=0.2
    )
    assert back.stream("barometer").values.mean() == pytest.approx(100_300, abs=50)


def test_px4_in_simulation_has_its_truth_as_reference():
    if not TRUTH.exists():
        pytest.skip(f"{TRUTH.name} is not here")
    back = import_log(TRUTH)
    assert back.reference_note == "ground truth of the simulator"
    assert any("160 of 190 messages without a fix dropped" in note for note in back.notes)
    gps = back.stream("gps")
    for i in range(2):
        at = np.interp(gps.t, back.reference.t, back.reference.values[:, i])
        # It stands; 1e-7 degrees and centimetres of its own noise.
        assert np.abs(gps.values[:, i] - at).max() < 0.1
    # Heading north, level: x forward is north, a quarter turn left of east.
    q = back.reference.values[0, 6:]
    np.testing.assert_allclose(np.abs(q), [0, 0, 0.5**0.5, 0.5**0.5], atol=1e-3)


def test_a_csv_folder_without_map_is_read_by_its_columns_names(tmp_path):
    guessed = import_log(COMMA)
    for line in ("  axes: forward-right-down", "  speed: speed_m_s", "  ecef_position: [x_ecef_m"):
        assert line in guessed.map
    text = (COMMA / "map.yaml").read_text().replace("  delay_s: 0.1\n", "")
    (tmp_path / "map.yaml").write_text(text.replace("  delay_s: 0.01", "  #"))
    written = import_log(COMMA, tmp_path / "map.yaml")
    same(guessed._replace(notes=()), written._replace(notes=()))


def test_the_reference_of_a_car_agrees_with_its_gps():
    back = import_log(COMMA, COMMA / "map.yaml")
    assert "not an independent truth" in back.reference_note
    gps, speed = back.stream("gps"), back.stream("gps_velocity")
    assert speed.channels == ("gps_velocity_east", "gps_velocity_north")
    for stream, first, bound in ((gps, 0, 1.5), (speed, 3, 0.5)):
        columns = [back.reference.values[:, first + i] for i in range(2)]
        at = np.stack([np.interp(stream.t, back.reference.t, c) for c in columns], axis=-1)
        assert np.median(np.linalg.norm(stream.values[:, :2] - at, axis=1)) < bound


def turned(u, R):
    return np.concatenate([u[:, :3] @ R, u[:, 3:] @ R], axis=1)


def shaken(seconds=80.0, seed=0):
    """An IMU `[n, 6]` at 50 Hz on a cart that speeds up and turns, and its wheels."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, seconds, 0.02)
    speed = 2 + np.sin(0.7 * t) + 0.5 * np.sin(1.9 * t)
    turn = 0.4 * np.sin(0.5 * t)
    u = np.zeros((len(t), 6))
    u[:, 2] = turn
    u[:, 3], u[:, 4], u[:, 5] = np.gradient(speed, t), speed * turn, 9.8
    return t, u + 0.05 * rng.normal(size=u.shape), speed, turn


@pytest.mark.parametrize("R", extrinsics.axis_rotations(), ids=str)
def test_any_upright_mount_is_found(imported, R):
    """Wheels tell forward; without them the least turn brings up to z, and says what is open."""
    t, u, speed, turn = shaken()
    logged = turned(u, R)
    topic = imu(EPOCH + t, logged[:, :3], logged[:, 3:])
    back = imported(source_of(topic, odometry(EPOCH + t, speed, turn)))
    np.testing.assert_allclose(back.stream("imu").values, u, atol=1e-12)
    alone = imported(source_of(topic))
    assert alone.stream("imu").values[:, 5].mean() == pytest.approx(9.8, abs=0.05)
    upright = (R[:, 2] == [0, 0, 1]).all()
    assert ("which way is forward is unknown" in alone.map) == (not upright)


def test_units_are_guessed_and_said(imported):
    t, u, speed, turn = shaken()
    wheels = odometry(EPOCH + t, speed, turn)
    logged = u * np.repeat([180 / np.pi, 1 / 9.80665], 3)
    back = imported(source_of(imu(EPOCH + t, logged[:, :3], logged[:, 3:]), wheels))
    np.testing.assert_allclose(back.stream("imu").values, u, atol=1e-12)
    assert "/imu: gyro converted from deg/s to rad/s" in back.notes
    assert "/imu: accel converted from g to m/s^2" in back.notes
    # Variances turn by the square: 0.01 (deg/s)^2 and 0.01 g^2.
    v = back.stream("imu").variance[0]
    np.testing.assert_allclose(v[[0, 3]], 0.01 * np.square([np.pi / 180, 9.80665]))


def test_what_was_guessed_is_said_in_notes(imported):
    t, u, _, _ = shaken()
    u[:, :3] += [3.0, 0.0, 0.0]
    back = imported(
        source_of(imu(EPOCH + t, u[:, :3], u[:, 3:], orientation=np.zeros((len(t), 4))))
    )
    assert "guessed: its rates are large for rad/s: check gyro_unit" in back.notes
    back = imported(source_of(imu(EPOCH + t, u[:, :3], -u[:, 3:])))
    assert any("which way is forward is unknown" in n for n in back.notes if "guessed" in n)


def test_an_attitude_tells_degrees_from_radians():
    t = np.arange(0, 20, 0.01)
    angle = 0.8 * np.sin(t)
    still = 0 * t
    q = np.stack([still, still, np.sin(angle / 2), np.cos(angle / 2)], axis=-1)
    rates = [(*turn_rates(t, q), "its own orientation")]
    gyro = np.stack([still, still, 0.8 * np.cos(t)], axis=-1)
    assert best_comparison(t, gyro, rates).unit == "rad/s"
    assert best_comparison(t, np.degrees(gyro), rates).unit == "deg/s"


def test_the_window_counts_from_the_start_of_the_log(imported):
    t = np.arange(0, 10, 0.01)
    log = source_of(imu(EPOCH + t), fix(EPOCH + t[::20]))
    back = imported(log, "imu: {topic: /imu}\ngps: {topic: /fix}\nwindow: {start_s: 2, end_s: 5}")
    assert back.start == pytest.approx(EPOCH + 2, abs=0.011)
    assert back.stream("imu").t[-1] == pytest.approx(3, abs=0.011)
    # The world begins at the first fix inside.
    np.testing.assert_array_equal(back.stream("gps").values[0], np.zeros(3))


def test_the_map_chooses_the_clock(imported):
    t = EPOCH + np.arange(0, 10, 0.01)
    log = source_of(imu(t, stamp_t=t - 0.25), fix(t[::20], stamp_t=t[::20] - 0.25))
    text = "imu: {topic: /imu}\ngps: {topic: /fix}\n"
    assert imported(log, text).start == pytest.approx(EPOCH - 0.25, abs=1e-6)
    assert imported(log, text + "clock: log").start == pytest.approx(EPOCH, abs=1e-6)


def test_headers_that_are_not_sane_are_not_used(imported):
    t = EPOCH + np.arange(0, 10, 0.01)
    back = imported(source_of(imu(t, stamp_t=0 * t), fix(t[::20])))
    assert back.start == pytest.approx(EPOCH, abs=1e-6)
    assert any("/imu: headers without a stamp" in note for note in back.notes)
    back = imported(source_of(imu(t, stamp_t=t - EPOCH + 7), fix(t[::20])))
    assert any("stamped by different clocks" in note for note in back.notes)
    assert len(back.stream("imu").t) == len(t)
    assert back.stream("gps").t[0] == pytest.approx(0, abs=1e-6)


def test_late_readings_are_left_out_when_the_map_says_so(imported):
    t = EPOCH + np.arange(0, 10, 0.01)
    stamps = t - 0.01
    stamps[100:103] -= 0.2003
    log = source_of(imu(t, stamp_t=stamps), fix(t[::20]))
    text = "imu: {topic: /imu}\ngps: {topic: /fix}\n"
    assert len(imported(log, text).stream("imu").t) == len(t)
    back = imported(log, text + "max_delay_s: 0.1")
    assert len(back.stream("imu").t) == len(t) - 3
    assert any("/imu: 3 of 1000 readings dropped, recorded more than 0.1 s" in n
               for n in back.notes)  # fmt: skip


def test_delays_lever_arm_and_first_belief_reach_the_recording(imported):
    t = EPOCH + np.arange(0, 10, 0.01)
    text = """
imu: {topic: /imu, delay_s: 0.02}
gps: {topic: /fix, delay_s: 0.1, lever_arm_m: [1, 0, 0.5]}
first: {velocity: [1, 2, 3]}
"""
    back = imported(source_of(imu(t), fix(t[::20])), text)
    assert back.stream("imu").t[0] == pytest.approx(0.08, abs=1e-6)
    assert back.lever_arm_m == (1.0, 0.0, 0.5)
    assert back.first == {"velocity": (1.0, 2.0, 3.0)}


def test_what_is_out_of_order_or_repeated_is_recovered_and_counted(imported):
    t = EPOCH + np.arange(0, 10, 0.01)
    gyro = np.stack([np.arange(len(t)), 0 * t, 0 * t], axis=-1) * 1e-3
    order = np.arange(len(t))
    order[[50, 51]] = [51, 50]
    order[70] = 69
    accel = np.tile([0.0, 0.0, 9.8], (len(t), 1))
    accel[30] = np.nan
    log = source_of(imu(t, gyro[order], accel, stamp_t=t[order]), fix(t[::20]))
    back = imported(log, "imu: {topic: /imu}\ngps: {topic: /fix}")
    kept = np.delete(np.arange(len(t)), [30, 70])
    np.testing.assert_array_equal(back.stream("imu").values[:, 0], gyro[kept, 0])
    for words in ("1 readings that are not finite", "1 readings out of order", "1 readings at a"):
        assert any(f"/imu, imu: {words}" in note for note in back.notes)


def test_fixes_that_are_none_are_left_out(imported):
    t = EPOCH + np.arange(0, 10, 0.2)
    place = np.tile([47.0, 8.0, 400.0], (len(t), 1))
    place[7, :2] = 0
    place[9, 2] = 1e12
    status = np.where(np.arange(len(t)) < 5, -1, 0)
    back = imported(source_of(fix(t, place, status=status)))
    assert len(back.stream("gps").t) == len(t) - 7
    assert "/fix: 5 of 50 messages without a fix dropped" in back.notes
    assert "/fix: 1 fixes at latitude 0, longitude 0 dropped" in back.notes
    assert "/fix: 1 fixes at impossible altitudes dropped" in back.notes


def test_streams_of_ones_own(imported):
    t = EPOCH + np.arange(0, 10, 0.1)
    fields = {"left": t - EPOCH, "angles": np.stack([t * 0 + 90, t * 0 + 180], axis=-1)}
    wheels = readings("/wheels", "own/msg/Wheels", t, fields)
    text = """
streams:
  wheels:
    topic: /wheels
    delay_s: 0.05
    channels:
      wheel_left: {field: left, unit: km/h, scale: 2}
      steering: {field: "angles[1]", unit: deg}
"""
    back = imported(source_of(wheels), text)
    (stream,) = back.streams
    assert stream.units == ("m/s", "rad")
    np.testing.assert_allclose(stream.values[:, 0], 2 * fields["left"] / 3.6)
    np.testing.assert_allclose(stream.values[:, 1], np.pi)
    assert back.start == pytest.approx(EPOCH - 0.05, abs=1e-6)


def test_streams_and_reference_from_ones_own_columns(tmp_path):
    """A plane robot's file without a GPS: its own channels, its own truth."""
    t = np.arange(0, 5, 0.1)
    rows = "\n".join(f"{1000 * s:.0f};{s:.3f};{10 * s:.3f}" for s in t)
    (tmp_path / "robot.csv").write_text("t_ms;v;px\n" + rows)
    (tmp_path / "map.yaml").write_text("""
streams: {wheels: {file: robot.csv, time: t_ms, channels: {speed: {column: v, unit: m/s}}}}
reference: {file: robot.csv, time: t_ms, channels: {position_0: {column: px, unit: cm}}}
""")
    back = import_log(tmp_path, tmp_path / "map.yaml")
    np.testing.assert_allclose(back.streams[0].t, t, atol=1e-12)
    np.testing.assert_allclose(back.streams[0].values[:, 0], t, atol=1e-12)
    assert back.reference.channels == ("position_0",)
    np.testing.assert_allclose(back.reference.values[:, 0], t / 10, atol=1e-12)


def test_a_pose_in_north_east_down(imported):
    """Nose east in NED is a quarter turn right of north: in ENU, no turn at all."""
    t = EPOCH + np.arange(0, 10, 0.1)
    half = 0.5**0.5
    fields = {
        f"pose.position.{a}": np.full(len(t), v)
        for a, v in zip("xyz", (1.0, 2.0, 3.0), strict=True)
    }
    quarter = (0.0, 0.0, half, half)
    fields |= {
        f"pose.orientation.{a}": np.full(len(t), v) for a, v in zip("xyzw", quarter, strict=True)
    }
    log = source_of(readings("/pose", "geometry_msgs/msg/PoseStamped", t, fields, t))
    for text in ("pose: /pose\nframe: ned", None):
        back = imported(log, text)
        x = back.stream("pose").values[0] * [
            1,
            1,
            1,
            *[np.sign(back.stream("pose").values[0, 6])] * 4,
        ]
        wanted = [2, 1, -3, 0, 0, 0, 1] if text else [1, 2, 3, *quarter]
        np.testing.assert_allclose(x, wanted, atol=1e-12)
    back = imported(log, "pose: /pose\nreference: {topic: /pose, frame: ned}")
    np.testing.assert_allclose(back.reference.values[0, :3], [2, 1, -3], atol=1e-12)


def test_the_frame_turns_what_a_section_does_not_say(imported):
    """Forward-right-down and north-east-down, for body and world vectors; axes win over frame."""
    t = EPOCH + np.arange(0, 10, 0.1)
    n, vector, three = len(t), (1.0, 2.0, 3.0), np.diag([1.0, 4.0, 9.0]).ravel()
    xyz = dict(zip("xyz", vector, strict=True))
    mag = {f"magnetic_field.{a}": np.full(n, v * 1e-5) for a, v in xyz.items()}
    mag["magnetic_field_covariance"] = np.tile(three, (n, 1))
    speed = {f"twist.twist.linear.{a}": np.full(n, v) for a, v in xyz.items()}
    speed |= {f"twist.twist.angular.{a}": np.full(n, v) for a, v in xyz.items()}
    speed["twist.covariance"] = np.tile(np.diag(np.arange(1.0, 7.0)).ravel(), (n, 1))
    plain = {f"twist.{p}.{a}": np.full(n, v) for a, v in xyz.items() for p in ("linear", "angular")}
    pressure = {"fluid_pressure": np.full(n, 1e5), "variance": np.zeros(n)}
    geometry = "geometry_msgs/msg/"
    log = source_of(
        imu(t, np.tile(vector, (n, 1))),
        readings("/mag", "sensor_msgs/msg/MagneticField", t, mag, t),
        readings("/speed", geometry + "TwistWithCovarianceStamped", t, speed, t),
        readings("/twist", geometry + "TwistStamped", t, plain, t),
        readings("/air", "sensor_msgs/msg/FluidPressure", t, pressure, t),
    )
    sections = "imu: {topic: /imu}\nmagnetometer: /mag\ngps_velocity: /speed\nbarometer: /air\n"
    back = imported(log, sections + "odometry: /twist\nframe: ned")
    np.testing.assert_array_equal(back.stream("imu").values[0, :3], [1, -2, -3])
    np.testing.assert_allclose(back.stream("magnetometer").values[0], [1e-5, -2e-5, -3e-5])
    np.testing.assert_array_equal(back.stream("magnetometer").variance[0], [1, 4, 9])
    np.testing.assert_array_equal(back.stream("gps_velocity").values[0], [2, 1, -3])
    np.testing.assert_array_equal(back.stream("gps_velocity").variance[0], [2, 1, 3])
    np.testing.assert_array_equal(back.stream("odometry").values[0], [1, -2, -3] * 2)
    assert back.stream("odometry").variance is None
    assert back.stream("barometer").values[0, 0] == 1e5
    assert np.isnan(back.stream("barometer").variance).all()
    own = sections.replace("/imu}", "/imu, axes: forward-left-up}") + "frame: ned"
    np.testing.assert_array_equal(imported(log, own).stream("imu").values[0, :3], vector)
    np.testing.assert_array_equal(imported(log, sections).stream("gps_velocity").values[0], vector)


def test_a_pose_with_covariance_keeps_what_it_says_of_its_position(imported):
    t = EPOCH + np.arange(0, 10, 0.1)
    fields = {f"pose.pose.position.{a}": 0 * t for a in "xyz"}
    fields |= {f"pose.pose.orientation.{a}": 0 * t for a in "xyz"}
    fields |= {"pose.pose.orientation.w": np.where(np.arange(len(t)) == 4, 0.0, 2.0)}
    fields["pose.covariance"] = np.tile(np.diag(np.arange(1.0, 7.0)).ravel(), (len(t), 1))
    kind = "geometry_msgs/msg/PoseWithCovarianceStamped"
    stream = imported(source_of(readings("/pose", kind, t, fields, t))).stream("pose")
    # An attitude of length zero says nothing; others are made unit.
    assert len(stream.t) == len(t) - 1
    np.testing.assert_allclose(np.abs(stream.values[0, 3:]), [0, 0, 0, 1])
    np.testing.assert_array_equal(stream.variance[0], [1, 2, 3, *[np.nan] * 4])


def test_jittery_fixes_go_back_to_the_receivers_clock(imported):
    rng = np.random.default_rng(0)
    t = EPOCH + 0.2 * np.arange(300)
    log = source_of(fix(t + rng.uniform(-0.05, 0.05, len(t))))
    back = imported(log, "gps: {topic: /fix, period_s: 0.2}")
    # A line through 300 stamps that wander by 29 ms: 3 ms at its ends, three deviations.
    np.testing.assert_allclose(np.diff(back.stream("gps").t), 0.2, atol=1e-4)
    assert back.start == pytest.approx(EPOCH, abs=0.011)


def test_a_reference_in_its_own_frame_is_tied_to_the_gps(imported):
    t = EPOCH + np.arange(0, 10, 0.1)
    enu = np.stack([5 * (t - EPOCH), 3 * (t - EPOCH), 0 * t], axis=-1)
    still = 0 * t
    own = enu + np.array([100.0, -50.0, 7.0])
    log = source_of(
        fix(t, geodesy.enu_to_geodetic(ORIGIN, enu)),
        odometry(t, still + 1, still, name="/truth", position=own),
    )
    text = "gps: {topic: /fix}\nreference: {topic: /truth}"
    back = imported(log, text)
    # 58 m of a curved earth: 0.3 mm.
    np.testing.assert_allclose(back.reference.values[:, :3], enu, atol=1e-3)
    assert any("shifted by east -100.00 m, north 50.00 m, up -7.00 m" in n for n in back.notes)
    np.testing.assert_allclose(back.reference.values[0, 7:], [1, 0, 0], atol=1e-12)
    # Where its zero is known, nothing is moved by what the GPS says.
    own = geodesy.enu_to_geodetic(ORIGIN, np.array([[-100.0, 50.0, -7.0]]))[0]
    given = text.replace("/truth}", f"/truth, origin: [{', '.join(f'{x:.12f}' for x in own)}]}}")
    back = imported(log, given)
    np.testing.assert_allclose(back.reference.values[:, :3], enu, atol=1e-2)
    assert not any("moved by" in note for note in back.notes)


def test_odometry_is_a_sensor_and_never_the_reference(imported):
    t = EPOCH + np.arange(0, 10, 0.1)
    back = imported(source_of(fix(t), odometry(t, 0 * t + 2, 0 * t + 0.1)))
    assert back.reference is None
    np.testing.assert_allclose(back.stream("odometry").values[0], [2, 0, 0, 0, 0, 0.1])
    np.testing.assert_array_equal(back.stream("odometry").variance[0], np.arange(1.0, 7.0))


def test_a_drive_file_comes_back_as_it_is(tmp_path):
    back = import_log(HUSKY)
    save_recording(tmp_path / "drive.npz", back)
    again = import_log(tmp_path / "drive.npz")
    same(back, again)
    assert again.map == back.map


def test_the_command_writes_the_drive_and_its_map(tmp_path, capsys):
    out = tmp_path / "drive.npz"
    assert main(["import", str(HUSKY), "--out", str(out), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "imu           1801  30.0 Hz" in said
    assert f"map:   {tmp_path / 'drive.map.yaml'}" in said
    first = load_recording(out)
    assert (tmp_path / "drive.map.yaml").read_text() == first.map
    again = tmp_path / "again.npz"
    given = ["--map", str(tmp_path / "drive.map.yaml"), "--quiet"]
    assert main(["import", str(HUSKY), "--out", str(again), *given]) == 0
    same(first, load_recording(again))
    # It writes over nothing, but takes the map that it left itself.
    assert main(["import", str(HUSKY), "--out", str(out), "--quiet"]) == 2
    out.unlink()
    assert main(["import", str(HUSKY), "--out", str(out), "--quiet"]) == 2
    assert main(["import", str(HUSKY), "--out", str(out), *given]) == 0
    same(first, load_recording(out))


def test_the_documents_maps_and_code_work(tmp_path, monkeypatch):
    docs = ROOT / "docs"
    maps = re.findall(r"```yaml\n(.*?)```", (docs / "your-own-logs.md").read_text(), re.S)
    assert len(maps) == 2
    topics, files = (parse_map("docs", text) for text in maps)
    assert topics.reference.origin == (47.4, 8.5, 430.0)
    assert files.reference.axes.name == "forward-right-down"
    (code,) = re.findall(r"```python\n(.*?)```", (docs / "drive-file.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert [s.name for s in load_recording(tmp_path / "drive.npz").streams] == ["imu", "wheels"]


def test_a_failed_import_leaves_nothing(tmp_path, monkeypatch):
    from kalmanrnn.logs.recording import recording

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording, "save_recording", fail)
    assert main(["import", str(HUSKY), "--out", str(tmp_path / "drive.npz"), "--quiet"]) == 3
    assert not list(tmp_path.iterdir())


def test_a_unit_that_nobody_knows_is_said(tmp_path):
    (tmp_path / "wheels.csv").write_text("t,left\n" + "".join(f"{i / 10},1.0\n" for i in range(30)))
    text = (
        "streams: {wheels: {file: wheels.csv, time: t, channels: {w: {column: left, unit: UNIT}}}}"
    )
    for unit, factor, said in (
        ("km/h", 1 / 3.6, False),
        ("furlong", 1.0, True),
        ("m/s", 1.0, False),
    ):
        (tmp_path / "map.yaml").write_text(text.replace("UNIT", unit))
        recording = import_log(tmp_path, tmp_path / "map.yaml")
        np.testing.assert_allclose(recording.streams[0].values, factor)
        assert any("'furlong' is unknown" in n for n in recording.notes) == said
