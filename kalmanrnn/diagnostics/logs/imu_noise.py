"""An IMU's noise from a log at rest: a summary, kalibr's YAML, an argument for a sim file."""

from __future__ import annotations

import json
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
from kalmanrnn.logs.recording.recording import CHANNELS, load_recording

SENSORS = {"gyroscope": "rad/s", "accelerometer": "m/s^2"}
WALK_UNITS = {"gyroscope": "rad/s^2/sqrt(Hz)", "accelerometer": "m/s^3/sqrt(Hz)"}
MAX_MISFIT = 0.25


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
    inside = (imu.t >= span[0]) & (imu.t <= (np.inf if span[1] is None else span[1]))
    gyro = imu.gyro[inside] * GYRO_UNITS[gyro_unit or imu.gyro_unit or "rad/s"]
    accel = imu.accel[inside] * ACCEL_UNITS[accel_unit]
    rest = select_stationary(imu.t[inside], gyro, accel, log=str(log))
    # At rest their mean must be gravity in m/s^2.
    g = float(np.linalg.norm(rest.accel.mean(axis=0)))
    if 0.9 < g < 1.1:
        raise UserError(
            f"at rest the accelerometer of {log} reads {g:.3f}, not 9.8 m/s^2",
            why="it was logged in g",
            cure=f"kalmanrnn allan {log} --accel-unit g",
        )
    both = zip(SENSORS, (rest.gyro, rest.accel), strict=True)
    curves = {name: allan_deviation(values, rest.rate_hz) for name, values in both}
    noise = {name: fit_noise(curve, rest.seconds) for name, curve in curves.items()}
    return ImuNoise(imu.topic, rest, curves, noise)


def read_drive(path: Path) -> ImuReadings:
    """Read the IMU of a drive file."""
    stream = load_recording(path).stream("imu")
    names = list(CHANNELS["imu"])
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
    read = source.read(names if topic is None else [topic], progress)
    found = [imu for r in read if (imu := read_imu_topic(r))]
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


def format_summary(found: ImuNoise) -> list[str]:
    """Return lines of text: each figure per axis and as the mean that is written."""
    rest = found.rest
    lines = [f"{found.topic}: {rest.seconds:.0f} s at rest, {rest.rate_hz:.4g} Hz"]
    lines += [f"note: {note}" for note in rest.notes]
    for name, unit in SENSORS.items():
        n = found.noise[name]
        lines += ["", f"{name:34s}{'x':>10s} {'y':>10s} {'z':>10s} {'mean':>10s}"]
        lines.append(_row(f"noise density [{unit}/sqrt(Hz)]", n.density))
        if n.instability.any():
            lines.append(_row(f"flat part of the deviation [{unit}]", n.instability))
        lines.append(_row(f"random walk [{WALK_UNITS[name]}]", n.walk, known=n.walk_observable))
        if n.walk_observable:
            error = f"{100 * n.walk_error:.0f} % (one sigma)"
            lines.append(f"  random walk: the mean is known to about {error}")
        else:
            lines.append(
                f"  random walk: {rest.seconds:.0f} s are too short to separate it from the "
                "noise; not written. Record for hours."
            )
        if n.misfit > MAX_MISFIT:
            lines.append(
                f"  the fit misses the curve by up to {100 * n.misfit:.0f} %: there is more than "
                "noise in it (vibration, a filter, steps); see --plot"
            )
    return lines


def format_yaml(found: ImuNoise) -> str:
    """Return kalibr's imu.yaml: the mean over the three axes of each figure."""
    lines = ["# From an Allan deviation at rest; each figure is the mean over the three axes."]
    units = {"accelerometer": "m/s^2/sqrt(Hz)", "gyroscope": "rad/s/sqrt(Hz)"}
    for name, unit in units.items():
        n = found.noise[name]
        lines.append(f"{name}_noise_density: {n.density.mean():.6e}  # {unit}")
        if n.walk_observable:
            line = f"{name}_random_walk: {n.walk.mean():.6e}  # {WALK_UNITS[name]}"
            lines.append(f"{line}, known to {100 * n.walk_error:.0f} %")
        else:
            lines.append(f"# {name}_random_walk: the log, {found.rest.seconds:.0f} s, is too short")
    # A JSON string is a YAML string, whatever the topic is called.
    lines.append(f"rostopic: {json.dumps(found.topic)}")
    lines.append(f"update_rate: {found.rest.rate_hz:.6g}  # Hz")
    return "\n".join(lines) + "\n"


def format_sim_argument(found: ImuNoise) -> str:
    """Return the figures as an argument for a sim file."""
    parts = [f"rate_hz={found.rest.rate_hz:.4g}"]
    for name, n in found.noise.items():
        parts.append(f"{name}_noise_density={n.density.mean():.3g}")
        parts += [f"{name}_random_walk={n.walk.mean():.3g}"] if n.walk_observable else []
    return f"imu=Imu({', '.join(parts)})"


def _row(name: str, values: np.ndarray, *, known: bool = True) -> str:
    cells = [*values, values.mean()]
    return f"  {name:32s}" + " ".join(f"{v:10.3g}" if known else f"{'-':>10s}" for v in cells)
