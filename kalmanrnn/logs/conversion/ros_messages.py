"""Convert ROS messages to streams in SI units and our axes, by message type."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.conversion.clock import TimedTopic
from kalmanrnn.logs.mapping.schema import LogMap
from kalmanrnn.logs.recording.recording import CHANNELS, Stream

# North, east, down to east, north, up; its own inverse.
NED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])

# Streams, and notes on what was dropped.
Converted = tuple[list[Stream], list[str]]


def make_stream(
    role: str, timed: TimedTopic, values: np.ndarray, variance: np.ndarray | None
) -> Stream:
    """Make a stream with the first channels of its role, one per column."""
    channels = list(CHANNELS[role].items())[: values.shape[1]]
    names, units = zip(*channels, strict=True)
    return Stream(role, timed.t, values, names, units, variance)


def rotated_variance(covariance: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return variances `[n, 3]` of covariances `[n, 9]` in rotated axes; NaN where unknown.

    All zeros mean unknown, a first element of -1 that the vector itself is absent.
    """
    P = covariance.reshape(-1, 3, 3)
    found = np.einsum("ij,njk,ik->ni", turn, P, turn)
    unknown = (P == 0).all(axis=(1, 2)) | (P[:, 0, 0] < 0) | (found <= 0).any(axis=1)
    return np.where(unknown[:, None], np.nan, found)


def covariance_block(covariance: np.ndarray, first: int) -> np.ndarray:
    """Return the 3 x 3 block `[n, 9]` of covariances `[n, 36]` that begins at a row."""
    part = covariance.reshape(-1, 6, 6)[:, first : first + 3, first : first + 3]
    return part.reshape(-1, 9)


def imu(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read a sensor_msgs/Imu."""
    assert log_map.imu is not None
    turn = log_map.body(log_map.imu.axes).matrix
    parts, variances = [], []
    for field in ("angular_velocity", "linear_acceleration"):
        covariance = timed.fields[f"{field}_covariance"]
        absent = covariance[:, 0] == -1
        if absent.all():
            raise UserError(
                f"{timed.name}: its messages have no {field}",
                why=f"{field}_covariance[0] is -1, which means that it is not measured",
                cure="name another topic under `imu` in the map",
            )
        vector = timed.columns(field + ".{}", "xyz") @ turn.T
        parts.append(np.where(absent[:, None], np.nan, vector))
        variances.append(rotated_variance(covariance, turn))
    values, variance = np.concatenate(parts, axis=1), np.concatenate(variances, axis=1)
    return [make_stream("imu", timed, values, variance)], []


def gps(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read a sensor_msgs/NavSatFix; latitude, longitude [deg], altitude [m] stay as they are."""
    timed, notes = drop_no_fix(timed, timed.column("status.status") >= 0)
    values = timed.columns("{}", ("latitude", "longitude", "altitude"))
    variance = rotated_variance(timed.fields["position_covariance"], np.eye(3))
    if "position_covariance_type" in timed.fields:
        variance[timed.column("position_covariance_type") == 0] = np.nan
    return [make_stream("gps", timed, values, variance)], notes


def drop_no_fix(timed: TimedTopic, fixed: np.ndarray) -> tuple[TimedTopic, list[str]]:
    """Drop messages whose status is no fix; UserError if all are."""
    if fixed.all():
        return timed, []
    if not fixed.any():
        raise UserError(
            f"{timed.name}: none of its {len(fixed)} messages has a fix",
            why="by the status in each of them",
            cure="use a log, or another `window` of it, in which the GPS works",
        )
    note = f"{timed.name}: {(~fixed).sum()} of {len(fixed)} messages without a fix dropped"
    return timed.select(fixed), [note]


def twist(timed: TimedTopic, log_map: LogMap, role: str, turn: np.ndarray) -> Converted:
    """Read linear velocity, and turn rate if the role has it, from a twist or an Odometry."""
    within = "twist.twist" if "twist.covariance" in timed.fields else "twist"
    parts = ("linear", "angular")[: len(CHANNELS[role]) // 3]
    vectors = [timed.columns(f"{within}.{part}" + ".{}", "xyz") @ turn.T for part in parts]
    variance = None
    if "twist.covariance" in timed.fields:
        P = timed.fields["twist.covariance"]
        blocks = [rotated_variance(covariance_block(P, 3 * i), turn) for i in range(len(parts))]
        variance = np.concatenate(blocks, axis=1)
    return [make_stream(role, timed, np.concatenate(vectors, axis=1), variance)], []


def gps_velocity(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read a twist as velocity in the world."""
    return twist(timed, log_map, "gps_velocity", NED if log_map.frame == "ned" else np.eye(3))


def odometry(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read a twist or an Odometry's as velocity and turn rate in the body."""
    assert log_map.odometry is not None
    return twist(timed, log_map, "odometry", log_map.body(log_map.odometry.axes).matrix)


def pose(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read a pose or an Odometry's: metres in its own frame, quaternion x, y, z, w."""
    assert log_map.pose is not None
    ned = log_map.frame == "ned"
    position, quaternion, variance = read_pose(
        timed, ned=ned, turn=log_map.body(log_map.pose.axes).matrix
    )
    values = np.concatenate([position, quaternion], axis=1)
    if variance is not None:
        variance = np.concatenate([variance, np.full((len(values), 4), np.nan)], axis=1)
    return [make_stream("pose", timed, values, variance)], []


def read_pose(
    timed: TimedTopic, *, ned: bool, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return position `[n, 3]`, quaternion `[n, 4]` x, y, z, w and the position's variance.

    turn: rotates the logged body axes to ours. Quaternions of norm zero become NaN.
    """
    within = "pose.pose" if "pose.pose.position.x" in timed.fields else "pose"
    world = NED if ned else np.eye(3)
    position = timed.columns(within + ".position.{}", "xyz") @ world.T
    q = timed.columns(within + ".orientation.{}", "xyzw")
    variance = None
    if "pose.covariance" in timed.fields:
        variance = rotated_variance(covariance_block(timed.fields["pose.covariance"], 0), world)
    return position, rotate_attitude(q, world, turn), variance


def rotate_attitude(q: np.ndarray, world: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Turn attitudes `[n, 4]` x, y, z, w into our world and body axes, by a matrix for each."""
    size = np.linalg.norm(q, axis=1)
    unit = (size > 0.1) & (size < 10)
    safe = np.where(unit[:, None], q, [0.0, 0.0, 0.0, 1.0])
    # The matrix takes logged axes to ours; its inverse goes in front of the logged turn.
    matrices = world @ Rotation.from_quat(safe).as_matrix() @ body.T
    return np.where(unit[:, None], Rotation.from_matrix(matrices).as_quat(), np.nan)


def magnetometer(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read a sensor_msgs/MagneticField [T]."""
    assert log_map.magnetometer is not None
    turn = log_map.body(log_map.magnetometer.axes).matrix
    values = timed.columns("magnetic_field.{}", "xyz") @ turn.T
    variance = rotated_variance(timed.fields["magnetic_field_covariance"], turn)
    return [make_stream("magnetometer", timed, values, variance)], []


def barometer(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read a sensor_msgs/FluidPressure [Pa]."""
    variance = timed.column("variance")[:, None]
    values = timed.column("fluid_pressure")[:, None]
    return [make_stream("barometer", timed, values, np.where(variance > 0, variance, np.nan))], []
