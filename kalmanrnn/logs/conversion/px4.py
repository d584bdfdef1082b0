"""Convert PX4's topics, in NED and forward-right-down, to streams in SI units and our axes.

Field names changed between versions; both generations are read.
"""

from __future__ import annotations

import numpy as np

from kalmanrnn.logs.conversion.clock import TimedTopic
from kalmanrnn.logs.conversion.ros_messages import NED, Converted, drop_no_fix, make_stream
from kalmanrnn.logs.mapping.schema import FRD, LogMap

GAUSS = 1e-4


def imu(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read sensor_combined; its axes are forward, right, down unless the map says otherwise."""
    assert log_map.imu is not None
    turn = (log_map.imu.axes or FRD).matrix
    gyro = timed.columns("gyro_rad[{}]", "012") @ turn.T
    accel = timed.columns("accelerometer_m_s2[{}]", "012") @ turn.T
    return [make_stream("imu", timed, np.concatenate([gyro, accel], axis=1), None)], []


def gps(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read PX4's vehicle_gps_position of either generation, with its velocity."""
    timed, notes = drop_no_fix(timed, timed.column("fix_type") >= 3)
    if "latitude_deg" in timed.fields:
        names, scale = ("latitude_deg", "longitude_deg", "altitude_msl_m"), np.ones(3)
    else:
        names, scale = ("lat", "lon", "alt"), np.array([1e-7, 1e-7, 1e-3])
    values = timed.columns("{}", names) * scale
    sigma = timed.columns("{}", ("eph", "eph", "epv"))
    streams = [make_stream("gps", timed, values, _squared(sigma))]
    if "vel_n_m_s" in timed.fields:
        moving = timed.select(timed.column("vel_ned_valid") > 0)
        v = moving.columns("vel_{}_m_s", "ned") @ NED.T
        speed = moving.column("s_variance_m_s")  # A standard deviation, whatever its name says.
        if len(v):
            spread = np.repeat(_squared(speed)[:, None], 3, axis=1)
            streams.append(make_stream("gps_velocity", moving, v, spread))
    return streams, notes


def _squared(sigma: np.ndarray) -> np.ndarray:
    return np.where(sigma > 0, np.square(sigma), np.nan)


def magnetometer(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read PX4's vehicle_magnetometer [gauss]."""
    assert log_map.magnetometer is not None
    turn = (log_map.magnetometer.axes or FRD).matrix
    values = GAUSS * timed.columns("magnetometer_ga[{}]", "012") @ turn.T
    return [make_stream("magnetometer", timed, values, None)], []


def barometer(timed: TimedTopic, log_map: LogMap) -> Converted:
    """Read PX4's vehicle_air_data [Pa]."""
    return [make_stream("barometer", timed, timed.column("baro_pressure_pa")[:, None], None)], []
