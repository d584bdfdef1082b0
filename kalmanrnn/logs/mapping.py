"""Read a log's map, a small YAML, and refuse what nothing would read."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kalmanrnn.errors import UserError
from kalmanrnn.logs.layout import (
    ACCEL_UNITS,
    AXES,
    GYRO_UNITS,
    Axes,
    GpsMap,
    ImuMap,
    LogMap,
    Names,
    ReferenceMap,
)

COUNTS = {"gyro": 3, "accel": 3, "ecef_position": 3, "ecef_velocity": 3, "quaternion_wxyz": 4}


def read_map(path: Path) -> LogMap:
    """Read and check a map file; UserError says where it is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(
            f"cannot read the map {path}",
            why=str(e),
            cure="give the map's path with --map FILE.yaml",
        ) from e
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f"{path.name} line {mark.line + 1}" if mark else path.name
        raise UserError(
            f"{where}: not valid YAML",
            why=str(getattr(e, "problem", None) or e),
            cure=f"mend {path}; keys and values are written `key: value`",
        ) from e
    sections = {"imu": ImuMap, "gps": GpsMap, "reference": ReferenceMap}
    _check_keys(path.name, raw, sections, required=("imu", "gps"))
    read = {name: _section(f"{path.name}: {name}", raw[name], sections[name]) for name in raw}
    return LogMap(read["imu"], read["gps"], read.get("reference"))


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the nearest of the choices as a question, or the choices themselves."""
    choices = list(choices)
    close = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else "there are: " + ", ".join(choices)


def _check_keys(where: str, raw: Any, known: Iterable[str], required: Iterable[str]) -> None:
    if not isinstance(raw, dict):
        raise UserError(
            f"{where}: expected keys and values, got {raw!r}",
            why="a map names the log's files and columns",
            cure=f"write {', '.join(required)} as `key: value`, as the README's example does",
        )
    known = list(known)
    for key in raw:
        if key not in known:
            raise UserError(
                f"{where}: unknown key {key!r}",
                why="a key that nothing reads would be a setting silently ignored",
                cure=nearest(key, known),
            )
    for key in required:
        if key not in raw:
            raise UserError(
                f"{where}: {key!r} is missing", why="it has no default", cure=f"add `{key}: ...`"
            )


def _section(where: str, raw: Any, kind: type) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    needed = [n for n, f in fields.items() if f.default is dataclasses.MISSING]
    _check_keys(where, raw, fields, needed)
    values = {}
    for name, value in raw.items():
        # Annotations are strings here, so that a field's type names its reader.
        read = _UNITS.get(name) or _READERS[str(fields[name].type)]
        values[name] = read(f"{where}.{name}", value)
        if name in COUNTS and len(values[name]) != COUNTS[name]:
            raise _wrong(f"{where}.{name}", value, f"{COUNTS[name]} column names")
    if bool(values.get("speed")) != bool(values.get("course")):
        raise _wrong(where, "only one of speed and course", "both or neither")
    return kind(**values)


def _wrong(where: str, got: Any, expected: str) -> UserError:
    return UserError(f"{where}: got {got!r}", why=f"it must be {expected}", cure=f"change {where}")


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(where, value, "text")
    return value


def _names(where: str, value: Any) -> Names:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _wrong(where, value, "a list of column names")
    return tuple(value)


def _number(where: str, value: Any) -> float:
    try:
        # YAML 1.1 reads 1e-3 as text.
        number = float(value)
    except (TypeError, ValueError):
        raise _wrong(where, value, "a number") from None
    if isinstance(value, bool) or not np.isfinite(number):
        raise _wrong(where, value, "a finite number")
    return number


def _choice(choices: Iterable[str]) -> Callable[[str, Any], str]:
    def read(where: str, value: Any) -> str:
        if value not in list(choices):
            raise UserError(
                f"{where}: unknown {value!r}",
                why=f"it must be one of {', '.join(choices)}",
                cure=nearest(value, choices),
            )
        return value

    return read


def _axes(where: str, value: Any) -> Axes:
    if not isinstance(value, list):
        name = _choice(AXES)(where, value)
        return Axes(name, AXES[name])
    try:
        matrix = np.array(value, float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    good = matrix.shape == (3, 3) and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3)
    if not good or np.linalg.det(matrix) < 0:
        raise _wrong(where, value, "a 3 x 3 rotation matrix, right-handed, or a name of axes")
    return Axes("given by a matrix", matrix)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "str": _text,
    "float": _number,
    "Names": _names,
    "Axes": _axes,
}
_UNITS: dict[str, Callable[[str, Any], Any]] = {
    "gyro_unit": _choice(GYRO_UNITS),
    "accel_unit": _choice(ACCEL_UNITS),
}
