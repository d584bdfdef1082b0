"""An IMU's noise from a log at rest: figures, a format_summary to read, kalibr's YAML."""

from __future__ import annotations

import json
import os
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

MAX_MISFIT = 0.25
SENSORS = {"gyroscope": "rad/s", "accelerometer": "m/s^2"}


class ImuNoise(NamedTuple):
    """An IMU at rest, its Allan deviations and what was fitted, by sensor's name."""

    topic: str
    rest: StationaryImu
    curves: dict[str, AllanCurve]
    noise: dict[str, NoiseFit]


class ImuReadings(NamedTuple):
    """A log's IMU: `[n]` seconds after its first reading, `[n, 3]` as logged.

    gyro_unit: what the log itself says, or "".
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

    gyro_unit: what the log says if not given, else rad/s.
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
    """Take the IMU of a drive file."""
    stream = load_recording(path).stream("imu")
    names = [f"{kind}_{axis}" for kind in ("gyro", "accel") for axis in "xyz"]
    if stream is None or not set(names) <= set(stream.channels):
        raise UserError(
            f"{path} has no IMU",
            why="it has no stream named imu with gyro_x to accel_z",
            cure="give the log that it was imported from",
        )
    values = stream.values[:, [stream.channels.index(n) for n in names]]
    return ImuReadings("imu", stream.t - stream.t[0], values[:, :3], values[:, 3:])


def read_imu(log: Path, topic: str | None, progress: Callable[[int, int], None]) -> ImuReadings:
    """Take the IMU of a log: the topic named, or the only one that has gyro and accel."""
    source = open_log(log)
    names = [t.name for t in source.topics if t.count]
    if topic is not None:
        if topic not in names:
            raise UserError(
                f"there is no topic {topic} with messages in {log}",
                why=f"its topics are {', '.join(names)}"[:300],
                cure=f"kalmanrnn inspect {log}",
            )
        names = [topic]
    else:
        likely = ("sensor_msgs/msg/ImuReadings", "px4/sensor_combined", "csv")
        names = [t.name for t in source.topics if t.count and t.type in likely]
    found = [imu for r in source.read(names, progress) if (imu := read_imu_topic(r))]
    if not found:
        raise UserError(
            f"{log} has no IMU",
            why="no topic has three gyro and three accel fields",
            cure=f"see what it has: kalmanrnn inspect {log}",
        )
    if len(found) > 1:
        raise UserError(
            f"{log} has {len(found)} topics that could be the IMU",
            why=f"{', '.join(i.readings.topic.name for i in found)}; one is wanted",
            cure=f"kalmanrnn allan {log} --topic {found[0].readings.topic.name}",
        )
    (imu,) = found
    t = times(imu.readings)
    return ImuReadings(imu.readings.topic.name, t - t[0], imu.gyro, imu.accel, imu.gyro_unit)


def format_summary(found: ImuNoise) -> list[str]:
    """Return lines for a person: per axis, then the mean that is written."""
    rest = found.rest
    lines = [f"{found.topic}: {rest.seconds:.0f} s at rest, {rest.rate_hz:.4g} Hz"]
    lines += [f"note: {note}" for note in rest.notes]
    for name, unit in SENSORS.items():
        n = found.noise[name]
        lines += ["", f"{name:34s}{'x':>10s} {'y':>10s} {'z':>10s} {'mean':>10s}"]
        lines.append(_row(f"noise density [{unit}/sqrt(Hz)]", n.density))
        if n.instability.any():
            lines.append(_row(f"flat part of the deviation [{unit}]", n.instability))
        lines.append(_row(f"random walk [{walk_unit(name)}]", n.walk, told=n.walk_observable))
        lines.append(f"  {format_walk(n, rest.seconds)}")
        if n.misfit > MAX_MISFIT:
            lines.append(
                f"  the fit misses the curve by up to {100 * n.misfit:.0f} %: there is more than "
                "noise in it (vibration, a filter, steps); look at --plot"
            )
    return lines


def walk_unit(name: str) -> str:
    """Return the unit of a random walk."""
    return {"gyroscope": "rad/s^2/sqrt(Hz)", "accelerometer": "m/s^3/sqrt(Hz)"}[name]


def format_walk(n: NoiseFit, seconds: float) -> str:
    """Say how well a random walk is known."""
    if n.walk_observable:
        return f"random walk: the mean is known to about {100 * n.walk_error:.0f} % (one sigma)"
    return (
        f"random walk: {seconds:.0f} s are too short to tell it from the noise; not written. "
        "Record hours."
    )


def format_yaml(found: ImuNoise) -> str:
    """Return kalibr's imu.yaml: the mean over the three axes of each figure."""
    lines = ["# From an Allan deviation at rest; each figure is the mean over the three axes."]
    units = {"accelerometer": "m/s^2/sqrt(Hz)", "gyroscope": "rad/s/sqrt(Hz)"}
    for name, unit in units.items():
        n = found.noise[name]
        lines.append(f"{name}_noise_density: {n.density.mean():.6e}  # {unit}")
        if n.walk_observable:
            told = f"{name}_random_walk: {n.walk.mean():.6e}  # {walk_unit(name)}"
            lines.append(f"{told}, known to {100 * n.walk_error:.0f} %")
        else:
            lines.append(
                f"# {name}_random_walk: the log, {found.rest.seconds:.0f} s, is too short to tell"
            )
    # A JSON string is a YAML string, whatever the topic is called.
    lines.append(f"rostopic: {json.dumps(found.topic)}")
    lines.append(f"update_rate: {found.rest.rate_hz:.6g}  # Hz")
    return "\n".join(lines) + "\n"


def write_yaml(found: ImuNoise, path: Path) -> None:
    """Write kalibr's imu.yaml, beside its place and renamed."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(format_yaml(found))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def format_sim_argument(found: ImuNoise) -> str:
    """Return the figures as an argument for a copied sim file."""
    parts = [f"rate_hz={found.rest.rate_hz:.4g}"]
    for name, n in found.noise.items():
        parts.append(f"{name}_noise_density={n.density.mean():.3g}")
        parts += [f"{name}_random_walk={n.walk.mean():.3g}"] if n.walk_observable else []
    return f"imu=ImuReadings({', '.join(parts)})"


def _row(name: str, values: np.ndarray, *, told: bool = True) -> str:
    cells = [*values, values.mean()]
    return f"  {name:32s}" + " ".join(f"{v:10.3g}" if told else f"{'-':>10s}" for v in cells)


def _check_gravity(rest: StationaryImu, log: Path) -> None:
    """Refuse readings that are not in m/s^2: at rest their mean is gravity."""
    g = float(np.linalg.norm(rest.accel.mean(axis=0)))
    if 0.9 < g < 1.1:
        raise UserError(
            f"at rest the accelerometer of {log} reads {g:.3f}, not 9.8 m/s^2",
            why="it is logged in units of gravity",
            cure=f"kalmanrnn allan {log} --accel-unit g",
        )
