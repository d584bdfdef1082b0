"""Convert a map's sections to streams: topics by type, files and fields by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.conversion import px4
from kalmanrnn.logs.conversion import ros_messages as messages
from kalmanrnn.logs.conversion.clock import TimedTopic
from kalmanrnn.logs.conversion.ros_messages import Converted, make_stream
from kalmanrnn.logs.mapping.schema import (
    ACCEL_UNITS,
    GYRO_UNITS,
    OTHER_UNITS,
    SI_UNITS,
    LogMap,
    StreamMap,
)
from kalmanrnn.logs.recording.recording import Stream

NAV, GEO, SENSOR = "nav_msgs/msg/", "geometry_msgs/msg/", "sensor_msgs/msg/"
TWISTS = (GEO + "TwistStamped", GEO + "TwistWithCovarianceStamped")
POSES = (GEO + "PoseStamped", GEO + "PoseWithCovarianceStamped")
ODOMETRY = NAV + "Odometry"
CONVERTERS: dict[str, dict[str, Callable[[TimedTopic, LogMap], Converted]]] = {
    "imu": {SENSOR + "Imu": messages.imu, "px4/sensor_combined": px4.imu},
    "gps": {
        SENSOR + "NavSatFix": messages.gps,
        "px4/vehicle_gps_position": px4.gps,
        "px4/sensor_gps": px4.gps,
    },
    "gps_velocity": dict.fromkeys(TWISTS, messages.gps_velocity),
    "magnetometer": {
        SENSOR + "MagneticField": messages.magnetometer,
        "px4/vehicle_magnetometer": px4.magnetometer,
    },
    "barometer": {
        SENSOR + "FluidPressure": messages.barometer,
        "px4/vehicle_air_data": px4.barometer,
    },
    "odometry": dict.fromkeys((ODOMETRY, *TWISTS), messages.odometry),
    "pose": dict.fromkeys((ODOMETRY, *POSES), messages.pose),
}


def convert_topic(role: str, timed: TimedTopic, log_map: LogMap) -> Converted:
    """Convert one topic to the streams of its role; UserError for an unsuitable type."""
    known = CONVERTERS[role]
    if timed.type not in known:
        raise UserError(
            f"{timed.name}: {timed.type} cannot be read as {role}",
            why=f"{role} is read from {', '.join(known)}",
            cure=f"name another topic under `{role}` in the map, or use its fields under `streams`",
        )
    return known[timed.type](timed, log_map)


def imu_from_columns(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Return gyro [rad/s] and accel [m/s^2], forward, left, up."""
    section = log_map.imu
    assert section is not None
    turn = log_map.body(section.axes).matrix.T
    gyro, accel = (timed.columns("{}", c) @ turn for c in (section.gyro, section.accel))
    return [make_stream("imu", timed, np.concatenate([gyro, accel], axis=1), None)], []


def apply_imu_units(stream: Stream, log_map: LogMap) -> tuple[Stream, list[str]]:
    """Apply the IMU's units of the map, for topics and files."""
    section = log_map.imu
    assert section is not None
    scale = np.repeat([GYRO_UNITS[section.gyro_unit], ACCEL_UNITS[section.accel_unit]], 3)
    variance = None if stream.variance is None else stream.variance * np.square(scale)
    units = (("gyro", section.gyro_unit, "rad/s"), ("accel", section.accel_unit, "m/s^2"))
    notes = [f"imu: {name} converted from {a} to {b}" for name, a, b in units if a != b]
    return stream._replace(values=stream.values * scale, variance=variance), notes


def gps_from_columns(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Return latitude, longitude [deg], altitude [m], and velocity if there is a course."""
    section = log_map.gps
    assert section is not None
    values = timed.columns("{}", (section.latitude, section.longitude, section.altitude))
    streams = [make_stream("gps", timed, values, None)]
    if section.speed:
        course = np.radians(timed.column(section.course))
        ahead = np.stack([np.sin(course), np.cos(course)], axis=-1)
        v = timed.column(section.speed)[:, None] * ahead
        streams.append(make_stream("gps_velocity", timed, v, None))
    return streams, []


def custom_stream(name: str, timed: TimedTopic, section: StreamMap) -> Converted:
    """Return a custom stream, its channels in SI."""
    columns, units, notes = [], [], []
    for channel, what in section.channels.items():
        given = what.column or what.field
        if not given:
            raise UserError(
                f"streams.{name}.channels.{channel}: neither column nor field is given",
                why="a channel is read from a file's column or from a topic's field",
                cure=f"add `{'column' if section.file else 'field'}: ...`",
            )
        unit, factor = OTHER_UNITS.get(what.unit, (what.unit, 1.0))
        if unit not in SI_UNITS:
            notes.append(
                f"{name}.{channel}: the unit {unit!r} is unknown and kept; known are "
                f"{', '.join(OTHER_UNITS)}"
            )
        columns.append(timed.column(given) * (what.scale * factor))
        units.append(unit)
    values = np.stack(columns, axis=-1)
    return [Stream(name, timed.t, values, tuple(section.channels), tuple(units))], notes
