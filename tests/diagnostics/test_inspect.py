"""Laws of inspection: what is wrong with a log is found, what is right is not complained of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import SHARED
from scipy.spatial.transform import Rotation

from kalmanrnn.cli.inspect_log import inspect
from kalmanrnn.core.errors import UserError
from kalmanrnn.diagnostics.logs.checks import check_log
from kalmanrnn.diagnostics.logs.facts import collect_facts
from kalmanrnn.diagnostics.logs.imu_checks import check_mounting
from kalmanrnn.diagnostics.logs.log_figure import draw_log, envelope
from kalmanrnn.diagnostics.logs.summary import format_summary, to_json
from kalmanrnn.diagnostics.logs.topics import GYRO, find_triple, read_gps_topic, read_imu_topic
from kalmanrnn.logs.conversion.imu_consistency import estimate_mounting_yaw, turn_rates
from kalmanrnn.logs.readers.readings import Readings, Source, Topic

needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared logs are not here")
START = 1.4e9
G = 9.80665
# What turns the robot's forward, left, up into the axes that an IMU hung so would log.
HUNG = {"gravity on y": np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]), "plain": np.eye(3)}


def readings(name, kind, fields, t, *, log_t=None, frame="", stamped=True):
    log_t = t if log_t is None else log_t
    return Readings(Topic(name, kind, len(t)), log_t, t if stamped else None, fields, frame)


def source(*those, kind="ros2", empty=()):
    topics = (*(r.topic for r in those), *(Topic(name, "std_msgs/msg/Empty", 0) for name in empty))
    by_name = {r.topic.name: r for r in those}
    return Source("log", kind, topics, lambda names, progress: [by_name[n] for n in names])


def motion(seconds=120.0, rate_hz=50.0):
    """A robot that speeds up, slows down and turns: times, speed, turn rate about up."""
    t = START + np.arange(round(seconds * rate_hz)) / rate_hz
    s = t - START
    return t, 1.0 + 0.8 * np.sin(0.7 * s), 0.5 * np.sin(0.31 * s)


def imu(name="/imu", *, mount=HUNG["plain"], gyro_scale=1.0, accel_scale=1.0, seed=0, **options):
    """An IMU on that robot; `mount` turns what it logs into forward, left, up."""
    t, speed, turn = motion()
    rng = np.random.default_rng(seed)
    zero = np.zeros_like(t)
    gyro = np.stack([zero, zero, turn], -1) + 0.01 * rng.normal(size=(len(t), 3))
    accel = np.stack([np.gradient(speed, t), speed * turn, zero + G], -1)
    accel += 0.3 * rng.normal(size=(len(t), 3))
    gyro, accel = gyro @ mount * gyro_scale, accel @ mount * accel_scale
    fields = {f"angular_velocity.{a}": gyro[:, i] for i, a in enumerate("xyz")}
    fields |= {f"linear_acceleration.{a}": accel[:, i] for i, a in enumerate("xyz")}
    return readings(name, "sensor_msgs/msg/Imu", fields, options.pop("t", t), **options)


def odometry(name="/odom", **options):
    t, speed, turn = motion(rate_hz=20.0)
    fields = {"twist.twist.linear.x": speed, "twist.twist.angular.z": turn}
    return readings(name, "nav_msgs/msg/Odometry", fields, options.pop("t", t), **options)


def gps(name="/fix", *, again=1, swap=False, zero=False, sigma=0.9, status=0, **options):
    """Fixes of a slow circle; `again`: how often each is said."""
    t = START + np.arange(600) / 5.0
    s = (np.arange(600) // again * again) / 5.0
    latitude = 48.0 + 1e-4 * np.sin(0.05 * s)
    longitude = 111.0 + 1e-4 * np.cos(0.05 * s)
    covariance = np.tile(np.diag([sigma**2, sigma**2, 4 * sigma**2]).ravel(), (600, 1))
    latitude, longitude = (longitude, latitude) if swap else (latitude, longitude)
    fields = {
        "latitude": 0 * latitude if zero else latitude,
        "longitude": 0 * longitude if zero else longitude,
        "altitude": np.full(600, 300.0),
        "status.status": np.full(600, status),
        "position_covariance": covariance,
        "position_covariance_type": np.full(600, 2),
    }
    return readings(name, "sensor_msgs/msg/NavSatFix", fields, options.pop("t", t), **options)


def findings(*those, **options):
    return check_log(collect_facts(source(*those, **options)))


def about(found, text):
    """The one finding whose `what` has this text."""
    (one,) = [f for f in found if text in f.what]
    return one


def test_a_good_log_has_no_problem():
    found = findings(imu(frame="imu_link"), odometry(), gps(frame="gps"))
    assert [f.what for f in found if f.level == "error"] == []
    assert {f"{f.name}: {f.what}" for f in found if f.level == "ok"} == {
        "/imu: the accelerometer is in m/s^2",
        "/imu: axes are forward-left-up",
        "/imu: the gyro is in rad/s",
    }


@pytest.mark.parametrize("rotation", Rotation.create_group("O"))
def test_every_right_angled_mount_is_found(rotation):
    """All 24, from gravity and from how the forces go with the speed."""
    mount = np.rint(rotation.as_matrix())
    r = read_imu_topic(imu(mount=mount))
    t, speed, _ = motion(rate_hz=20.0)
    mounting_yaw = estimate_mounting_yaw(r.readings.log_t, r.gyro, r.accel, t, speed)
    assert mounting_yaw.is_reliable
    found = check_mounting("imu", r.gyro, r.accel, mounting_yaw)
    if np.array_equal(mount, np.eye(3)):
        assert found.command == ""
    elif np.array_equal(mount, np.diag([1, -1, -1])):
        assert found.command == "imu: {axes: forward-right-down}"
    else:
        rows = json.loads(found.command.removeprefix("imu: {axes: ").removesuffix("}"))
        np.testing.assert_array_equal(rows, mount)


def test_without_motion_the_heading_is_said_to_be_unknown():
    found = about(findings(imu(mount=HUNG["gravity on y"])), "mounted rotated")
    assert "about up is unknown" in found.what
    assert "+y" in found.evidence


def test_units_are_found_and_their_lines_are_the_maps():
    found = findings(imu(gyro_scale=180 / np.pi, accel_scale=1 / G), odometry())
    assert about(found, "in g").command == "imu: {accel_unit: g}"
    gyro = about(found, "in deg/s")
    assert gyro.command == "imu: {gyro_unit: deg/s}"
    assert "57" in gyro.evidence


def test_degrees_are_found_by_size_where_nothing_else_turns():
    assert about(findings(imu(gyro_scale=180 / np.pi)), "in deg/s").level == "error"
    assert about(findings(imu()), "assumed to be in rad/s").level == "note"


def test_a_gyro_of_the_wrong_scale_is_found():
    assert about(findings(imu(gyro_scale=2.0), odometry()), "scale is off").level == "error"


def test_a_gravity_free_accelerometer_is_found():
    r = imu()
    r.fields["linear_acceleration.z"][:] -= G
    assert about(findings(r), "gravity is missing").level == "error"


def test_turn_rates_of_quaternions_are_exact():
    t = np.arange(200) / 50.0
    q = Rotation.from_rotvec(np.outer(t, [0.1, -0.2, 0.3])).as_quat()
    q[::7] *= -1
    _, rate = turn_rates(t, q)
    np.testing.assert_allclose(rate, np.linalg.norm([0.1, -0.2, 0.3]), rtol=1e-9)


def test_fixes_said_again_are_found_with_their_period():
    found = about(findings(gps(again=5)), "repeats the same fix")
    assert found.command == "gps: {period_s: 1}"
    assert not [f for f in findings(gps()) if "again" in f.what]


def test_swapped_zero_and_missing_fixes_are_found():
    assert "swapped" in about(findings(gps(swap=True)), "look swapped").cure
    assert about(findings(gps(zero=True)), "are zero").level == "error"
    assert about(findings(gps(status=-1)), "no message has a fix").level == "error"


def test_stamps_that_are_zero_or_frozen_ask_for_log_time():
    t, *_ = motion()
    for stamps in (np.zeros_like(t), np.full_like(t, START)):
        r = imu()._replace(stamp_t=stamps)
        found = findings(r)
        assert "clock: log" in [f.command for f in found]
        assert collect_facts(source(r)).timings["/imu"].clock == "log"


def test_stamps_twice_or_backwards_are_counted():
    t, *_ = motion()
    t = t.copy()
    t[100] = t[99]
    t[200], t[201] = t[201], t[200]
    found = findings(imu(t=t))
    assert about(found, "same stamp").evidence == "1 of 6000"
    assert "1 go back, by up to 0.02 s" in about(found, "out of order").evidence


def test_header_time_against_log_time():
    t, *_ = motion()
    late = about(findings(imu(t=t, log_t=t + 37.0)), "different clocks")
    assert "+37.000 s" in late.evidence
    drifting = about(findings(imu(t=t, log_t=t + 0.01 * (t - START))), "drifts")
    assert drifting.command == "clock: log"
    assert not [f for f in findings(imu(t=t, log_t=t + 0.02)) if "clock" in f.what + f.command]


def test_clocks_that_do_not_overlap_are_found():
    t = START + np.arange(600) / 5.0
    found = about(findings(imu(), gps(t=t + 1e6, log_t=t)), "no overlap")
    assert found.command == "clock: log"


def test_gaps_are_counted_and_placed():
    t, *_ = motion()
    t = t + 2.5 * (t > START + 60)
    facts = collect_facts(source(imu(t=t)))
    timings = facts.timings["/imu"]
    assert timings.rate_hz == pytest.approx(50.0, rel=1e-6)
    assert timings.gaps == 1
    assert timings.gap_s == pytest.approx(2.52, abs=1e-6)
    assert timings.gap_at == pytest.approx(60.0, abs=0.03)
    assert about(check_log(facts), "long gaps up to 2.5 s").command.startswith("window:")


def test_numbers_that_are_none_empty_topics_slashes_and_two_imus_are_found():
    r = imu("/imu/a", frame="/imu_link")
    r.fields["angular_velocity.y"][7] = np.nan
    found = findings(r, imu("/imu/b", seed=1), empty=("/camera",))
    assert "1 of 6000" in about(found, "not every reading is a number").evidence
    assert "/camera" in about(found, "without messages").what
    assert "'/imu_link'" in about(found, "leading slash").evidence
    assert about(found, "2 topics could be the IMU").command == "imu: {topic: /imu/a}"


def test_a_reference_is_known_by_its_name():
    truth = odometry("/ground_truth/odom")
    assert about(findings(imu(), truth), "ground truth").command == (
        "reference: {topic: /ground_truth/odom}"
    )
    assert about(findings(imu(), odometry()), "no ground truth").level == "note"


def test_spread_at_rest_is_measured():
    rng = np.random.default_rng(0)
    r = gps()
    t = r.log_t
    r.fields["latitude"][:] = 48 + np.degrees(0.5 * rng.normal(size=600) / 6_371_000)
    r.fields["longitude"][:] = 11 + np.degrees(
        0.5 * rng.normal(size=600) / 6_371_000 / np.cos(np.radians(48))
    )
    still = odometry()
    still.fields["twist.twist.linear.x"][:] = 0.0
    (found,) = collect_facts(source(r, still)).gps_summaries
    assert found.standing_s == pytest.approx(t[-1] - t[0], abs=0.2)
    # 1200 draws tell a standard deviation to 2 %.
    assert found.spread_m[0] == pytest.approx(0.5, rel=0.08)
    assert found.sigma_m == pytest.approx((0.9, 1.8))


@pytest.mark.parametrize(
    "names",
    [
        ["gyro_x", "gyro_y", "gyro_z"],
        ["gyro_rad[0]", "gyro_rad[1]", "gyro_rad[2]"],
        ["gyro_forward_rad_s", "gyro_right_rad_s", "gyro_down_rad_s"],
        ["angular_velocity.x", "angular_velocity.y", "angular_velocity.z"],
        ["w_RS_S_x [rad s^-1]", "w_RS_S_y [rad s^-1]", "w_RS_S_z [rad s^-1]"],
        ["wx", "wy", "wz"],
    ],
)
def test_gyros_are_known_by_many_names(names):
    fields = {n: np.zeros(2) for n in ["t", "accel_x", *names[::-1], "weight"]}
    assert find_triple(fields, GYRO) == names


def test_receivers_integers_are_degrees():
    fields = {"lat": np.array([473977419.0] * 2), "lon": np.array([85455942.0] * 2)}
    fields |= {"alt": np.array([488004.0] * 2), "fix_type": np.array([3.0, 2.0])}
    found = read_gps_topic(
        readings("vehicle_gps_position", "px4/vehicle_gps_position", fields, np.arange(2.0))
    )
    np.testing.assert_allclose(found.geodetic[0], [47.3977419, 8.5455942, 488.004])
    assert found.fixed.tolist() == [True, False]
    assert found.status == {"2D fix": 1, "3D fix": 1}


def test_a_log_of_nothing_known_still_has_its_table(tmp_path):
    r = readings("/battery", "x/msg/Battery", {"volts": np.ones(20)}, np.arange(20.0))
    facts = collect_facts(source(r, empty=("/empty",)))
    found = check_log(facts)
    lines = format_summary(facts, found)
    assert any(line.startswith("/battery") and " 20 " in line for line in lines)
    assert any("no IMU" in line for line in lines)
    draw_log(facts, tmp_path / "nothing.svg")
    text = (tmp_path / "nothing.svg").read_text()
    assert "/battery" in text
    assert "altitude" not in text
    nothing = collect_facts(source(empty=("/empty",)))
    assert json.loads(json.dumps(to_json(nothing, check_log(nothing))))["topics"][0]["count"] == 0


def break_at_gaps(r, rng):
    """The readings cut short, with holes, constants, or stamps that make no sense."""
    n = int(rng.choice([0, 1, 2, 3, 12, 200, 600]))
    t, stamps = r.log_t[:n].copy(), r.stamp_t[:n].copy()
    fields = {k: v[:n].astype(float) for k, v in r.fields.items()}
    hole = rng.choice([np.nan, np.inf])
    for values in fields.values():
        values[rng.random(n) < rng.choice([0.0, 0.0, 0.2, 1.0])] = hole
    stamps = {
        0: stamps,
        1: np.full(n, START),
        2: rng.permutation(stamps),
        3: np.zeros(n),
        4: np.full(n, np.nan),
        5: np.where(rng.random(n) < 0.2, 1e18, stamps),
    }[int(rng.integers(6))]
    t = np.where(rng.random(n) < rng.choice([0.0, 0.1]), np.nan, t)
    topic = r.topic._replace(count=n)
    return r._replace(topic=topic, log_t=t, stamp_t=stamps, fields=fields)


@pytest.mark.filterwarnings("error")
def test_no_log_is_too_broken_to_be_inspected(tmp_path):
    rng = np.random.default_rng(0)
    whole = [imu(), odometry(), gps()]
    for trial in range(150):
        those = [break_at_gaps(r, rng) for r in whole if rng.random() < 0.8]
        facts = collect_facts(source(*those, kind=["ros1", "ulog", "csv"][trial % 3]))
        found = check_log(facts)
        assert all(f.what and f.evidence for f in found)
        assert len(format_summary(facts, found)) >= 3 + len(those)
        json.dumps(to_json(facts, found), allow_nan=False)
        if trial % 30 == 0:
            draw_log(facts, tmp_path / "break_at_gaps.png")


def test_json_says_null_where_nothing_is_known():
    facts = collect_facts(source(imu(), gps(sigma=0.0)))
    text = json.dumps(to_json(facts, check_log(facts)), allow_nan=False)
    read = json.loads(text)
    assert read["gps"][0]["spread_m"] == [None, None]
    assert read["topics"][0]["timing"]["rate_hz"] == pytest.approx(50.0, rel=1e-6)
    assert {"level", "name", "what", "evidence", "cure", "command"} == set(read["findings"][0])


def test_the_envelope_keeps_every_peak_and_both_ends():
    t = np.arange(100_001.0)
    values = np.sin(t / 50)
    values[77_777], values[100_000] = 9.0, -9.0
    few_t, few = envelope(t, values, bins=100)
    assert len(few) <= 202
    assert few.max() == 9.0
    assert few.min() == -9.0
    assert few_t[-1] == t[-1]
    assert (np.diff(few_t) >= 0).all()


def test_a_figure_of_an_unknown_format_is_refused_before_reading():
    with pytest.raises(UserError, match="the suffix must be"):
        inspect(["no-such-log.bag", "--plot", "a.doc"])


@needs_data
def test_husky(capsys, tmp_path):
    """What is known of this bag: a rotated IMU, a slash, two gaps, nothing to compare with."""
    picture = tmp_path / "husky.png"
    assert inspect([str(SHARED / "husky_bag" / "husky.bag"), "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert picture.read_bytes()[:4] == b"\x89PNG"
    # As robot_localization's own launch file for this bag has it: yaw -90, roll 90 degrees.
    mount = Rotation.from_euler("ZX", [-90, 90], degrees=True).as_matrix()
    rows = np.rint(mount).astype(int).tolist()
    assert f"try:      imu: {{axes: {rows}}}" in out
    assert "gravity is along +y" in out
    assert "'/gps'; to tf2 this is another frame" in out
    assert "/husky_velocity_controller/odom  gaps up to 0.21 s" in out
    assert "no ground truth" in out
    assert " the gyro is in rad/s" in out
    assert "SBAS fix 989" in out


@needs_data
def test_px4(capsys):
    assert inspect([str(SHARED / "px4_ulog" / "sample_log_small.ulg"), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    found = {f"{f['name']}: {f['what']}": f for f in read["findings"]}
    axes = found["sensor_combined: axes are forward-right-down, according to the log"]
    assert axes["command"] == "imu: {axes: forward-right-down}"
    assert "along -z" in axes["evidence"]
    assert read["gps"][0]["status"] == {"3D fix": 32}
    assert 1 < read["gps"][0]["sigma_m"][0] < 5


@needs_data
def test_comma(capsys):
    assert inspect([str(SHARED / "comma2k19_drive"), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    found = {f"{f['name']}: {f['what']}": f for f in read["findings"]}
    assert (
        found["reference: ground truth: reference.csv"]["command"]
        == "reference: {file: reference.csv}"
    )
    axes = found["imu.csv: axes are forward-right-down, according to the log"]
    assert "+1 deg about up" in axes["evidence"]
    assert [f["what"] for f in read["findings"] if f["level"] == "error"] == []
