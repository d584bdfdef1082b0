"""Estimate an IMU's noise from a log at rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.diagnostics.logs.topics import read_imu_topic, times
from kalmanrnn.logs.calibration.allan import AllanCurve, NoiseFit, allan_deviation, fit_noise
from kalmanrnn.logs.calibration.stationary import StationaryImu, select_stationary
from kalmanrnn.logs.mapping.schema import ACCEL_UNITS, GYRO_UNITS
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.readers.readings import no_progress
from kalmanrnn.logs.recording.recording import load_recording

SENSORS = {"gyroscope": "rad/s", "accelerometer": "m/s^2"}


class ImuNoise(NamedTuple):
    """An IMU at rest; its Allan deviations and noise models by sensor."""

    topic: str
    rest: StationaryImu
    curves: dict[str, AllanCurve]
    noise: dict[str, NoiseFit]


class ImuReadings(NamedTuple):
    """A log's IMU: `[n]` seconds after its first reading, `[n, 3]` as logged.

    gyro_unit: as stated by the log, or "".
    """

    topic: str
    t: np.ndarray
    gyro: np.ndarray
    accel: np.ndarray
    gyro_unit: str = ""


def estimate_imu_noise(
    log: Path,
    *,
    topic: str | None = None,
    span: tuple[float, float | None] = (0.0, None),
    gyro_unit: str | None = None,
    accel_unit: str = "m/s^2",
    progress: Callable[[int, int], None] = no_progress,
) -> ImuNoise:
    """Read a log's IMU within a span of seconds, and fit its noise; UserError if it moves.

    gyro_unit: None for the one the log states, else rad/s.
    """
    imu = read_drive(log) if log.suffix == ".npz" else read_imu(log, topic, progress)
    until = np.inf if span[1] is None else span[1]
    inside = (imu.t >= span[0]) & (imu.t <= until)
    gyro = imu.gyro[inside] * GYRO_UNITS[gyro_unit or imu.gyro_unit or "rad/s"]
    accel = imu.accel[inside] * ACCEL_UNITS[accel_unit]
    rest = select_stationary(imu.t[inside], gyro, accel, log=str(log))
    _check_gravity(rest, log)
    curves = {
        "gyroscope": allan_deviation(rest.gyro, rest.rate_hz),
        "accelerometer": allan_deviation(rest.accel, rest.rate_hz),
    }
    noise = {name: fit_noise(curve, rest.seconds) for name, curve in curves.items()}
    return ImuNoise(imu.topic, rest, curves, noise)


def read_drive(path: Path) -> ImuReadings:
    """Read the IMU of a drive file."""
    stream = load_recording(path).stream("imu")
    names = [f"{kind}_{axis}" for kind in ("gyro", "accel") for axis in "xyz"]
    if stream is None or not set(names) <= set(stream.channels):
        raise UserError(
            f"{path} has no IMU",
            why="it has no stream `imu` with gyro_x to accel_z",
            cure="give the log it was imported from",
        )
    values = stream.values[:, [stream.channels.index(n) for n in names]]
    return ImuReadings("imu", stream.t - stream.t[0], values[:, :3], values[:, 3:])


def read_imu(log: Path, topic: str | None, progress: Callable[[int, int], None]) -> ImuReadings:
    """Read the IMU of a log: the named topic, or the only one with gyro and accel."""
    source = open_log(log)
    likely = ("sensor_msgs/msg/Imu", "px4/sensor_combined", "csv")
    names = [t.name for t in source.topics if t.count and t.type in likely]
    if topic is not None:
        names = [topic]
    found = [imu for r in source.read(names, progress) if (imu := read_imu_topic(r))]
    if not found:
        raise UserError(
            f"{log} has no IMU",
            why="no topic has three gyro and three accel fields",
            cure=f"kalmanrnn inspect {log}",
        )
    if len(found) > 1:
        raise UserError(
            f"{log} has {len(found)} topics that could be the IMU",
            why=f"{', '.join(i.readings.topic.name for i in found)}; choose one",
            cure=f"kalmanrnn allan {log} --topic {found[0].readings.topic.name}",
        )
    (imu,) = found
    t = times(imu.readings)
    return ImuReadings(imu.readings.topic.name, t - t[0], imu.gyro, imu.accel, imu.gyro_unit)


def _check_gravity(rest: StationaryImu, log: Path) -> None:
    """Refuse readings in g: at rest their mean must be gravity in m/s^2."""
    g = float(np.linalg.norm(rest.accel.mean(axis=0)))
    if 0.9 < g < 1.1:
        raise UserError(
            f"at rest the accelerometer of {log} reads {g:.3f}, not 9.8 m/s^2",
            why="it was logged in g",
            cure=f"kalmanrnn allan {log} --accel-unit g",
        )
