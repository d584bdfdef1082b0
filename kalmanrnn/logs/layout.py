"""What a map says of a log: files, columns, units, axes and time offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Names = tuple[str, ...]
GYRO_UNITS = {"rad/s": 1.0, "deg/s": np.pi / 180}
ACCEL_UNITS = {"m/s^2": 1.0, "g": 9.80665}
AXES = {
    "forward-left-up": np.diag([1.0, 1.0, 1.0]),
    "forward-right-down": np.diag([1.0, -1.0, -1.0]),
}


class Axes(NamedTuple):
    """Axes in which vectors were logged; `matrix` `[3, 3]` turns them into forward-left-up."""

    name: str
    matrix: np.ndarray


OURS = Axes("forward-left-up", AXES["forward-left-up"])


@dataclass(frozen=True)
class ImuMap:
    """Where the IMU's columns are. Times are moved `delay_s` earlier."""

    file: str
    time: str
    gyro: Names
    accel: Names
    axes: Axes = OURS
    gyro_unit: str = "rad/s"
    accel_unit: str = "m/s^2"
    delay_s: float = 0.0


@dataclass(frozen=True)
class GpsMap:
    """Where the GPS's columns are: degrees, metres, m/s, course in degrees clockwise from north.

    delay_s: how long after its moment of validity a fix is stamped, on average.
    period_s: the receiver's own even interval, onto which jittery stamps are put; 0 for none.
    min_interval_s: fixes that follow a used one sooner are left out; when negative, 0.75 of
    the scenario's GPS interval.
    """

    file: str
    time: str
    latitude: str
    longitude: str
    altitude: str
    speed: str = ""
    course: str = ""
    delay_s: float = 0.0
    period_s: float = 0.0
    min_interval_s: float = -1.0


@dataclass(frozen=True)
class ReferenceMap:
    """Where a reference trajectory's columns are, in earth-centred earth-fixed axes.

    quaternion_wxyz: turns the body's `axes` into earth-fixed axes.
    note: a sentence for the report on where the reference comes from.
    """

    file: str
    time: str
    ecef_position: Names
    ecef_velocity: Names = ()
    quaternion_wxyz: Names = ()
    axes: Axes = OURS
    delay_s: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class LogMap:
    """The whole map."""

    imu: ImuMap
    gps: GpsMap
    reference: ReferenceMap | None
