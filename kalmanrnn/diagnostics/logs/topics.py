"""Recognise sensors among topics by the names of their fields; numpy only."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal, NamedTuple

import numpy as np

from kalmanrnn.logs.readers.readings import Readings

GYRO = r"(?:imu_?)?(?:gyro(?:scope)?(?:_rad)?|gyr|angular_(?:velocity|vel|rate)|omega|w_rs_s|w|g)"
ACCEL = r"(?:imu_?)?(?:acc(?:el)?(?:eration|erometer)?(?:_m_s2)?|linear_acceleration|a_rs_s|a)"
AXIS = r"_?(x|y|z|forward|left|right|up|down|0|1|2)(?:_.*)?"
# The status of NavSatFix (-1 none, 0 fix, 1 SBAS, 2 GBAS) and of PX4 (2 is 2D, 3 is 3D).
ROS_STATUS = {-9: "no status", -1: "no fix", 0: "fix", 1: "SBAS fix", 2: "GBAS fix"}
PX4_STATUS = {
    -9: "no status",
    0: "no fix",
    1: "no fix",
    2: "2D fix",
    3: "3D fix",
    4: "DGPS",
    5: "RTK float",
    6: "RTK fixed",
    8: "extrapolated",
}


class ImuTopic(NamedTuple):
    """A topic with three turn rates and three specific forces `[n, 3]`, in the log's units.

    axes: by the columns' names, such as `forward-right-down`, or "".
    gyro_unit: "deg/s" or "rad/s" by the columns' names, or "".
    orientation: `[n, 4]` quaternions x, y, z, w in the same messages, or None.
    """

    readings: Readings
    gyro: np.ndarray
    accel: np.ndarray
    axes: str
    gyro_unit: str
    orientation: np.ndarray | None


class GpsTopic(NamedTuple):
    """A topic with fixes.

    geodetic: `[n, 3]` latitude, longitude [deg], altitude [m]. fixed: `[n]` bool. status: text
    of each status -> number of messages. speed: `[n]` [m/s] or None. sigma_m:
    `[n, 2]` horizontal and vertical standard deviation as the receiver states them, or None.
    """

    readings: Readings
    geodetic: np.ndarray
    fixed: np.ndarray
    status: dict[str, int]
    speed: np.ndarray | None
    sigma_m: np.ndarray | None


class MotionTopic(NamedTuple):
    """A topic on the robot's motion: odometry, attitude, poses.

    speed: `[n]` forward [m/s]; turn: `[n]` about up [rad/s]; quaternion: `[n, 4]` x, y, z, w;
    each None where the topic has none.
    """

    readings: Readings
    speed: np.ndarray | None
    turn: np.ndarray | None
    quaternion: np.ndarray | None


def times(readings: Readings, clock: str = "") -> np.ndarray:
    """Return `[n]` seconds on the named clock, or on the one that `choose_clock` chooses."""
    stamps = readings.stamp_t
    use_header = stamps is not None and (clock or choose_clock(readings)) == "header"
    return stamps if use_header and stamps is not None else readings.log_t


def choose_clock(readings: Readings) -> Literal["header", "log"]:
    """Choose header stamps, unless they are missing, zero or do not advance."""
    stamps = readings.stamp_t
    if stamps is None or not len(stamps):
        return "log"
    good = np.isfinite(stamps) & (stamps > 0)
    if good.mean() < 0.99 or (len(stamps) > 1 and (np.diff(stamps) > 0).mean() < 0.5):
        return "log"
    return "header"


def read_imu_topic(readings: Readings) -> ImuTopic | None:
    """Read a topic as an IMU; None without three gyro and three accel fields."""
    gyro, accel = find_triple(readings.fields, GYRO), find_triple(readings.fields, ACCEL)
    if not gyro or not accel or not len(readings.log_t):
        return None
    names = " ".join(gyro).lower()
    unit = "deg/s" if "deg" in names else "rad/s" if "rad" in names else ""
    order = "-".join(w for n in gyro for w in re.split("[^a-z]+", n.lower()) if w in _WORDS)
    return ImuTopic(
        readings,
        stack_fields(readings, gyro),
        stack_fields(readings, accel),
        axes=order if order in ("forward-right-down", "forward-left-up") else "",
        gyro_unit=unit,
        orientation=_quaternion(readings, "orientation."),
    )


def read_gps_topic(readings: Readings) -> GpsTopic | None:
    """Read a topic as a GPS; None without latitude and longitude."""
    f = readings.fields
    wanted = [("latitude_deg", "latitude", "lat"), ("longitude_deg", "longitude", "lon", "lng")]
    wanted += [("altitude_m", "altitude_msl_m", "altitude", "alt")]
    names = [next((n for n in those if n in f and f[n].ndim == 1), "") for those in wanted]
    if not (names[0] and names[1]) or len(readings.log_t) < 2:
        return None
    columns = [f[n].astype(float) if n else np.zeros(len(readings.log_t)) for n in names]
    if np.abs(columns[0]).max(initial=0) > 1e4:
        # Receivers' integers: 1e-7 degrees and millimetres.
        columns = [columns[0] * 1e-7, columns[1] * 1e-7, columns[2] * 1e-3]
    geodetic = np.stack(columns, axis=-1)
    fixed, status = _status(f, geodetic)
    speed = _first(f, "vel_m_s", "speed_m_s", "speed")
    return GpsTopic(readings, geodetic, fixed, status, speed, _sigma(f))


def read_motion_topic(readings: Readings) -> MotionTopic | None:
    """Read a topic as odometry, an attitude or a pose; None if it is none of these."""
    f = readings.fields
    if not len(readings.log_t) or (find_triple(f, GYRO) and find_triple(f, ACCEL)):
        return None
    speed = _first(f, "twist.twist.linear.x", "twist.linear.x", "linear.x")
    turn = _first(f, "twist.twist.angular.z", "twist.angular.z", "angular.z")
    if speed is None and {"vx", "vy", "vz"} <= f.keys():
        speed = np.hypot(f["vx"], f["vy"])
    elif speed is None:
        speed = _first(f, "speed_m_s", "speed", "vx")
    places = ("pose.pose.orientation.", "pose.orientation.", "orientation.", "transform.rotation.")
    found = (_quaternion(readings, p) for p in places)
    quaternion = next((q for q in found if q is not None), None)
    if speed is None and turn is None and quaternion is None:
        for names in ([f"q[{i}]" for i in range(4)], ["qw", "qx", "qy", "qz"]):
            if set(names) <= f.keys():
                quaternion = stack_fields(readings, [*names[1:], names[0]])
    if speed is None and turn is None and quaternion is None:
        return None
    return MotionTopic(readings, speed, turn, quaternion)


def is_reference(readings: Readings) -> bool:
    """Whether a topic is a reference by its name."""
    words = "ground_?truth|/gt/|^gt_|_gt$|vicon|mocap|optitrack|qualisys|leica|reference|truth"
    return re.search(words, readings.topic.name.lower()) is not None


def find_triple(fields: dict[str, np.ndarray], stem: str) -> list[str]:
    """Find three number fields of one stem, in the order of their axes; [] if there are none."""
    groups: dict[str, dict[str, str]] = {}
    for name, values in fields.items():
        plain = re.sub("[^a-z0-9]+", "_", name.lower())
        found = re.fullmatch(f"({stem}){AXIS}", plain)
        if found and values.ndim == 1:
            groups.setdefault(found[1], {}).setdefault(found[2], name)
    for axes in groups.values():
        for order in _ORDERS:
            if set(order) <= axes.keys():
                return [axes[a] for a in order]
    return []


def _first(fields: dict[str, np.ndarray], *names: str) -> np.ndarray | None:
    return next((fields[n].astype(float) for n in names if n in fields), None)


def stack_fields(readings: Readings, names: list[str]) -> np.ndarray:
    """Return fields as columns `[n, c]`, float64."""
    return np.stack([readings.fields[n].astype(float) for n in names], axis=-1)


_ORDERS = ["xyz", "012", ("forward", "left", "up"), ("forward", "right", "down")]
_WORDS = {"forward", "left", "right", "up", "down"}


def _quaternion(readings: Readings, prefix: str) -> np.ndarray | None:
    names = [f"{prefix}{a}" for a in "xyzw"]
    if not set(names) <= readings.fields.keys():
        return None
    q = stack_fields(readings, names)
    # An orientation that is not measured is all zeros, or has -1 in its covariance.
    covariance = readings.fields.get("orientation_covariance")
    unknown = covariance is not None and prefix == "orientation." and (covariance[:, 0] == -1).all()
    return None if unknown or not (np.linalg.norm(q, axis=1) > 0.5).all() else q


def _status(f: dict[str, np.ndarray], geodetic: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    placed = np.isfinite(geodetic).all(axis=1) & (geodetic[:, :2] != 0).any(axis=1)
    for name, texts, least in (("status.status", ROS_STATUS, 0), ("fix_type", PX4_STATUS, 3)):
        if name in f:
            known = np.sort(np.where(np.isfinite(f[name]), f[name], -9).astype(int)).tolist()
            messages = Counter(texts.get(kind, f"status {kind}") for kind in known)
            return (f[name] >= least) & placed, dict(messages)
    return placed, {}


def _sigma(f: dict[str, np.ndarray]) -> np.ndarray | None:
    if "position_covariance" in f:
        c = f["position_covariance"].astype(float)
        known = f.get("position_covariance_type", np.ones(len(c))) > 0
        variance = np.stack([0.5 * (c[:, 0] + c[:, 4]), c[:, 8]], axis=-1)
        good = known & (variance > 0).all(axis=1)
        return np.where(good[:, None], np.sqrt(np.abs(variance)), np.nan) if good.any() else None
    if "eph" in f and "epv" in f:
        return np.stack([f["eph"], f["epv"]], axis=-1).astype(float)
    return None
