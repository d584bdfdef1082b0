"""Guess the map of CSV files from their columns' names, where those are unambiguous."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.conversion.read_sections import clock_column, is_row_count
from kalmanrnn.logs.guessing.guess_imu import imu_lines
from kalmanrnn.logs.readers.readings import Readings, Source

UNITS = {
    "rad_s": "rad/s",
    "rads": "rad/s",
    "deg_s": "deg/s",
    "dps": "deg/s",
    "m_s2": "m/s^2",
    "m_s_2": "m/s^2",
    "mps2": "m/s^2",
    "g": "g",
}
IMU_PATTERNS = {
    "gyro": r"(?:imu_)?(?:gyroscope|gyro|gyr|angular_velocity|ang_vel|angular_rate|omega|w)",
    "accel": r"(?:imu_)?(?:accelerometer|accel|acc|linear_acceleration|lin_acc|a)",
}
AXES = {
    "": ("x", "y", "z"),
    "forward-left-up": ("forward", "left", "up"),
    "forward-right-down": ("forward", "right", "down"),
}
GPS_PATTERNS = {
    "latitude": r"(?:gps_)?lat(?:itude)?(?:_deg)?",
    "longitude": r"(?:gps_)?(?:lon|lng|long|longitude)(?:_deg)?",
    "altitude": r"(?:gps_)?(?:alt|altitude|height|ele|elevation)(?:_m)?",
    "speed": r"(?:gps_)?(?:ground_)?speed_(?:m_s|mps)",
    "course": r"(?:gps_)?(?:course|cog|track)(?:_deg)?",
}
REFERENCE_STEMS = ("reference", "ground_truth", "groundtruth", "truth")
ECEF_COLUMNS = {
    "ecef_position": ["x_ecef_m", "y_ecef_m", "z_ecef_m"],
    "ecef_velocity": ["vx_ecef_m_s", "vy_ecef_m_s", "vz_ecef_m_s"],
    "quaternion_wxyz": ["qw", "qx", "qy", "qz"],
}
TEMPLATE = """\
imu: {file: imu.csv, time: t, gyro: [gx, gy, gz], accel: [ax, ay, az],
      axes: forward-left-up, gyro_unit: rad/s, accel_unit: m/s^2}
gps: {file: gps.csv, time: t, latitude: lat, longitude: lon, altitude: alt}
streams:
  wheels: {file: wheels.csv, time: t, channels: {wheel_left: {column: left, unit: m/s}}}"""


# A file's columns: simplified name -> name.
Columns = dict[str, str]


class Triple(NamedTuple):
    """The three columns of one vector, their axes by name, and their unit suffix."""

    columns: list[str]
    axes: str
    unit: str


def guess_tables(
    source: Source, progress: Callable[[int, int], None]
) -> tuple[str, dict[str, Readings]]:
    """Guess by column names; an IMU's unnamed axes and units by its readings."""
    names = [topic.name for topic in source.topics if topic.count]
    have = dict(zip(names, source.read(names, progress), strict=True))
    headers = {name: _header(readings) for name, readings in have.items()}
    imus = [n for n, h in headers.items() if find_triple(h, "gyro") and find_triple(h, "accel")]
    needed = {"latitude", "longitude", "altitude"}
    fixes = [n for n, h in headers.items() if gps_columns(h).keys() >= needed]
    _require_unique("imu", imus)
    _require_unique("gps", fixes)
    if not imus and not fixes:
        columns = "; ".join(f"{n}: {', '.join(h.values())}" for n, h in headers.items())
        raise UserError(
            f"{source.path}: no column is named like an IMU's or a GPS's",
            why=f"it has {columns}"[:300],
            cure="write a map.yaml like this, and use --map map.yaml:\n" + TEMPLATE,
        )
    lines = [f"# Guessed from {Path(source.path).name}; see docs/your-own-logs.md for all keys"]
    axes, used = "", {*imus, *fixes}
    for name in imus:
        more, axes = _imu_section(headers[name], have[name])
        lines += more
    for name in fixes:
        lines += ["gps:", *_file_lines(have[name])]
        lines += [f"  {key}: {_yaml_name(c)}" for key, c in gps_columns(headers[name]).items()]
    for name, header in headers.items():
        named = Path(name).stem.lower() in REFERENCE_STEMS
        if named and header.keys() >= set(ECEF_COLUMNS["ecef_position"]):
            lines += _reference_section(header, have[name], axes)
            used.add(name)
    spare = [name for name in headers if name not in used]
    if spare:
        lines.append(f"# not used: {', '.join(spare)}; `streams` can use it")
    return "\n".join(lines) + "\n", have


def find_triple(header: Columns, kind: str) -> Triple | None:
    """Find the three columns of a gyroscope or accelerometer; None if there is not just one."""
    found = []
    for axes, names in AXES.items():
        for unit in ("", *UNITS):
            ends = f"_{unit}" if unit else ""
            patterns = [f"{IMU_PATTERNS[kind]}_?{n}{ends}" for n in names]
            hits = [_matching(header, pattern) for pattern in patterns]
            if all(len(hit) == 1 for hit in hits):
                found.append(Triple([hit[0] for hit in hits], axes, UNITS.get(unit, "")))
    return found[0] if len(found) == 1 else None


def _matching(header: Columns, pattern: str) -> list[str]:
    return [name for plain, name in header.items() if re.fullmatch(pattern, plain)]


def gps_columns(header: Columns) -> dict[str, str]:
    """Find the columns of a GPS; speed and course only together."""
    found = {}
    for key, pattern in GPS_PATTERNS.items():
        hits = _matching(header, pattern)
        if len(hits) == 1:
            found[key] = hits[0]
    if not {"speed", "course"} <= found.keys():
        found = {key: c for key, c in found.items() if key not in ("speed", "course")}
    return found


def _imu_section(header: Columns, readings: Readings) -> tuple[list[str], str]:
    gyro, accel = find_triple(header, "gyro"), find_triple(header, "accel")
    assert gyro is not None
    assert accel is not None
    lines = ["imu:", *_file_lines(readings)]
    for name, triple in (("gyro", gyro), ("accel", accel)):
        lines.append(f"  {name}: [{', '.join(map(_yaml_name, triple.columns))}]")
    w, a = (np.stack([readings.fields[c] for c in x.columns], axis=-1) for x in (gyro, accel))
    axes = gyro.axes if gyro.axes == accel.axes else ""
    lines += imu_lines(w, a, readings.log_t, axes=axes, units=(gyro.unit, accel.unit))
    return lines, axes


def _reference_section(header: Columns, readings: Readings, axes: str) -> list[str]:
    lines = ["reference:", *_file_lines(readings)]
    for key, names in ECEF_COLUMNS.items():
        if set(names) <= header.keys():
            lines.append(f"  {key}: [{', '.join(_yaml_name(header[n]) for n in names)}]")
    if axes:
        lines.append(f"  axes: {axes}  # those of the IMU")
    return [*lines, f"  note: taken from {readings.topic.name} because of its name"]


def _file_lines(readings: Readings) -> list[str]:
    time = clock_column(readings)
    if time is None and is_row_count(readings):
        raise UserError(
            f"{readings.topic.name}: no column is named as the time",
            why=f"it has {', '.join(readings.fields)}"[:200],
            cure="write a map.yaml like this, and use --map map.yaml:\n" + TEMPLATE,
        )
    named = {"file": readings.topic.name, "time": time}
    return [f"  {key}: {_yaml_name(name)}" for key, name in named.items() if name]


def _header(readings: Readings) -> Columns:
    plain = {}
    for name in readings.fields:
        # Camel case, such as gyroX, is split.
        split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
        plain[re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")] = name
    return plain


def _yaml_name(text: str) -> str:
    """Write a name as YAML, in quotes if needed; a JSON string is a YAML string."""
    plain = re.fullmatch(r"[A-Za-z_/][\w./-]*", text) and yaml.safe_load(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _require_unique(role: str, names: list[str]) -> None:
    if len(names) > 1:
        raise UserError(
            f"{' and '.join(names)} could each be the {role}",
            why="nothing in the log decides between them",
            cure="write a map.yaml with one of these lines and the right columns, "
            "and use --map map.yaml:\n"
            + "\n".join(f"{role}: {{file: {n}, ...}}" for n in names)
            + "\nA complete map looks like this:\n"
            + TEMPLATE,
        )
