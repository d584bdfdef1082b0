"""The map of a log: topics or files and columns, units, axes and time offsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Names = tuple[str, ...]
GYRO_UNITS = {"rad/s": 1.0, "deg/s": np.pi / 180}
ACCEL_UNITS = {"m/s^2": 1.0, "g": 9.80665}
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# Units that are SI already, and how numbers without a unit are written.
SI_UNITS = (
    *("", "1", "m", "m/s", "m/s^2", "rad", "rad/s", "rad/s^2", "s", "Hz", "T", "Pa", "K", "N"),
    *("kg", "V", "A", "W"),
)
# Units of custom channels that are converted to SI; any other is taken as it is, with a note.
OTHER_UNITS = {
    "deg": ("rad", np.pi / 180),
    "deg/s": ("rad/s", np.pi / 180),
    "g": ("m/s^2", 9.80665),
    "km/h": ("m/s", 1 / 3.6),
    "mph": ("m/s", 0.44704),
    "knot": ("m/s", 1852 / 3600),
    "rpm": ("rad/s", np.pi / 30),
    "cm": ("m", 1e-2),
    "mm": ("m", 1e-3),
    "km": ("m", 1e3),
    "hPa": ("Pa", 1e2),
    "mbar": ("Pa", 1e2),
    "gauss": ("T", 1e-4),
    "uT": ("T", 1e-6),
}
# Sections of a map that name one sensor each.
ROLES = ("imu", "gps", "gps_velocity", "magnetometer", "barometer", "odometry", "pose")
CLOCKS, FRAMES = ("header", "log"), ("enu", "ned")


class Axes(NamedTuple):
    """Axes in which vectors were logged; `matrix` `[3, 3]` rotates them to forward-left-up."""

    name: str
    matrix: np.ndarray


FLU = Axes("forward-left-up", np.eye(3))
FRD = Axes("forward-right-down", np.diag([1.0, -1.0, -1.0]))
AXES = {axes.name: axes for axes in (FLU, FRD)}


@dataclass(frozen=True)
class TopicMap:
    """A topic whose message type defines its fields. Times are shifted `delay_s` earlier."""

    topic: str
    delay_s: float = 0.0


@dataclass(frozen=True)
class VectorMap:
    """A topic of vectors in body `axes`; None: those of the map's frame."""

    topic: str
    axes: Axes | None = None
    delay_s: float = 0.0


@dataclass(frozen=True)
class ImuMap:
    """Where the IMU is: a topic, or a file and its columns."""

    topic: str = ""
    file: str = ""
    time: str = ""
    time_unit: str = ""
    gyro: Names = ()
    accel: Names = ()
    axes: Axes | None = None
    gyro_unit: str = "rad/s"
    accel_unit: str = "m/s^2"
    delay_s: float = 0.0


@dataclass(frozen=True)
class GpsMap:
    """Where the GPS is: a topic, or a file and its columns.

    Columns are degrees, metres, m/s, course in degrees clockwise from north.
    delay_s: mean delay of a fix's stamp after the moment it was valid.
    period_s: the receiver's own interval, used to regularise jittery stamps; 0: not used.
    lever_arm_m: the antenna's position, forward, left, up of the IMU.
    """

    topic: str = ""
    file: str = ""
    time: str = ""
    time_unit: str = ""
    latitude: str = ""
    longitude: str = ""
    altitude: str = ""
    speed: str = ""
    course: str = ""
    delay_s: float = 0.0
    period_s: float = 0.0
    lever_arm_m: tuple[float, ...] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ChannelMap:
    """One channel of a custom stream: its column or field, and its conversion to SI.

    The reading is `scale` times the logged number, in `unit`, converted to SI.
    """

    column: str = ""
    field: str = ""
    unit: str = ""
    scale: float = 1.0


@dataclass(frozen=True)
class ReferenceMap:
    """Where a reference trajectory is: topics, or a file and its columns.

    channels: a state's block and component (`position_0`) by column, in our units and axes; or
    ecef_position, ecef_velocity: metres and m/s in earth-centred, earth-fixed axes, and
    quaternion_wxyz: rotates the body's `axes` to earth-fixed axes.
    frame: of topics, "enu" or "ned"; "": the map's frame, or that of the log's kind.
    origin: latitude, longitude [deg], altitude [m] of a topic's own origin, if known.
    note: a sentence for the report on the reference's source.
    """

    topic: Names = ()
    file: str = ""
    time: str = ""
    time_unit: str = ""
    channels: dict[str, ChannelMap] = field(default_factory=dict)
    ecef_position: Names = ()
    ecef_velocity: Names = ()
    quaternion_wxyz: Names = ()
    axes: Axes | None = None
    frame: str = ""
    origin: tuple[float, ...] = ()
    delay_s: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class StreamMap:
    """A custom stream: a topic's fields or a file's columns, by channel."""

    channels: dict[str, ChannelMap]
    topic: str = ""
    file: str = ""
    time: str = ""
    time_unit: str = ""
    delay_s: float = 0.0


@dataclass(frozen=True)
class WindowMap:
    """The part of a log to use, in seconds from its start; `end_s` 0 is its end."""

    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True)
class LogMap:
    """The whole map, described for users in `docs/your-own-logs.md`.

    clock: "header" or "log", the stamps to use; "": header if present and plausible.
    max_delay_s: readings recorded later than that after their stamp are dropped; 0: keep all.
    frame: "enu" or "ned", of the log's vectors unless a section says otherwise.
    """

    imu: ImuMap | None = None
    gps: GpsMap | None = None
    gps_velocity: TopicMap | None = None
    magnetometer: VectorMap | None = None
    barometer: TopicMap | None = None
    odometry: VectorMap | None = None
    pose: VectorMap | None = None
    reference: ReferenceMap | None = None
    streams: dict[str, StreamMap] = field(default_factory=dict)
    window: WindowMap = WindowMap()
    clock: str = ""
    max_delay_s: float = 0.0
    frame: str = ""
    first: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def body(self, axes: Axes | None) -> Axes:
        """Return a section's axes, or those that the frame implies."""
        return axes or (FRD if self.frame == "ned" else FLU)
