"""Parse a log's map, a small YAML file, and refuse keys that nothing reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import yaml

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.mapping.schema import (
    ACCEL_UNITS,
    CLOCKS,
    FRAMES,
    GYRO_UNITS,
    ROLES,
    TIME_UNITS,
    ChannelMap,
    GpsMap,
    ImuMap,
    LogMap,
    ReferenceMap,
    StreamMap,
    TopicMap,
    VectorMap,
    WindowMap,
)
from kalmanrnn.logs.mapping.values import (
    axes,
    choice,
    invalid,
    names,
    number,
    numbers,
    parse_table,
    seconds,
    suggest,
    text,
)

COUNTS = {
    **dict.fromkeys(("gyro", "accel", "ecef_position", "ecef_velocity", "lever_arm_m"), 3),
    "origin": 3,
    "quaternion_wxyz": 4,
}
# Required keys of a section that reads a file; for a topic, the message type defines them.
COLUMNS = {
    ImuMap: ("file", "gyro", "accel"),
    GpsMap: ("file", "latitude", "longitude", "altitude"),
    ReferenceMap: ("file",),
    StreamMap: ("file",),
}
ONLY_COLUMNS = {"time", "time_unit", "speed", "course", "ecef_position", "ecef_velocity"} | {
    "quaternion_wxyz"
}
ONLY_TOPIC = {"frame"}
STREAMS = (*ROLES, "streams")
# What code looks for by these names must be what importers make.
RESERVED = ("imu", "gps", "gps_velocity", "reference")


def parse_map(name: str, content: str) -> LogMap:
    """Parse a map's text; errors call it `name`."""
    try:
        _check_duplicates(name, yaml.compose(content, yaml.SafeLoader))
        raw = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        mark = getattr(e, "problem_mark", None)
        where = f"{name} line {mark.line + 1}" if mark else name
        raise UserError(
            f"{where}: not valid YAML",
            why=str(getattr(e, "problem", None) or e),
            cure=f"fix {name}; keys and values are written `key: value`",
        ) from e
    log_map = _parse_section(LogMap, name, raw)
    for own in log_map.streams:
        if own in RESERVED or getattr(log_map, own, None) is not None:
            raise invalid(f"{name}: streams", own, "a name other than those of sections")
    if not any(getattr(log_map, stream) for stream in STREAMS):
        raise UserError(
            f"{name}: it names no sensor",
            why="a map tells which topics or files hold the sensors",
            cure=f"add one of {', '.join(STREAMS)}",
        )
    return log_map


def _check_duplicates(name: str, node: yaml.Node | None) -> None:
    """Refuse a repeated key: YAML would silently keep the last."""
    parts = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        keys = [key.value if isinstance(key.value, str) else None for key, _ in parts]
        for i, key in enumerate(keys):
            if key is not None and key in keys[:i]:
                raise UserError(
                    f"{name} line {parts[i][0].start_mark.line + 1}: duplicate key {key!r}",
                    why="only one of the two could be used",
                    cure="remove one of them",
                )
        parts = [value for _, value in parts]
    for part in parts:
        _check_duplicates(name, part)


def _check_keys(where: str, raw: Any, known: Iterable[str], required: Iterable[str]) -> None:
    if not isinstance(raw, dict):
        raise UserError(
            f"{where}: expected keys and values, got {raw!r}",
            why="docs/your-own-logs.md describes the map",
            cure=f"write {', '.join(required) or 'them'} as `key: value`",
        )
    known = list(known)
    for key in raw:
        if key not in known:
            raise UserError(
                f"{where}: unknown key {key!r}",
                why="it would be silently ignored",
                cure=suggest(key, known),
            )
    for key in required:
        if key not in raw:
            raise UserError(
                f"{where}: {key!r} is missing", why="it has no default", cure=f"add `{key}: ...`"
            )


def _parse_section(kind: type, where: str, raw: Any) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if kind in (TopicMap, VectorMap) and isinstance(raw, str):
        raw = {"topic": raw}
    _check_keys(where, raw, fields, _required_keys(where, raw, kind))
    values = {}
    for name, value in raw.items():
        # Annotations are strings here, so that a field's type names its parser.
        read = _CHOICES.get(name) or _READERS[str(fields[name].type)]
        at = f"{where}: {name}" if kind is LogMap else f"{where}.{name}"
        values[name] = read(at, value)
        if name in COUNTS and len(values[name]) != COUNTS[name]:
            named = values[name] and isinstance(values[name][0], str)
            raise invalid(at, value, f"{COUNTS[name]} {'column names' if named else 'numbers'}")
    if "channels" in values and not values["channels"]:
        raise invalid(f"{where}.channels", {}, "at least one channel")
    if bool(values.get("speed")) != bool(values.get("course")):
        raise invalid(where, "only one of speed and course", "both or neither")
    return kind(**values)


def _required_keys(where: str, raw: Any, kind: type) -> list[str]:
    """Return a section's required keys, which differ between topics and files."""
    fields = dataclasses.fields(kind)
    needed = [f.name for f in fields if _MISSING is f.default is f.default_factory]
    if kind not in COLUMNS or not isinstance(raw, dict):
        return needed
    if not raw.get("topic"):
        _refuse_keys(where, raw, ONLY_TOPIC & {f.name for f in fields}, "a file")
        shape = kind is ReferenceMap and "channels" not in raw
        return [*needed, *COLUMNS[kind], *(["ecef_position"] if shape else [])]
    only = {*COLUMNS[kind], *ONLY_COLUMNS, *(["channels"] if kind is ReferenceMap else [])}
    _refuse_keys(where, raw, only, "a topic")
    return needed


def _refuse_keys(where: str, raw: dict[str, Any], refused: set[str], source: str) -> None:
    for key in raw:
        if key in refused:
            raise UserError(
                f"{where}: {key!r} does not apply to {source}",
                why="a topic's message type defines its fields; columns belong to files",
                cure=f"remove `{key}`, or give {'a topic' if source == 'a file' else 'a file'}",
            )


_MISSING = dataclasses.MISSING
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "str": text,
    "float": number,
    "Names": names,
    "Axes | None": axes,
    "tuple[float, ...]": numbers,
    "dict[str, tuple[float, ...]]": partial(parse_table, numbers),
    "dict[str, ChannelMap]": partial(parse_table, partial(_parse_section, ChannelMap)),
    "dict[str, StreamMap]": partial(parse_table, partial(_parse_section, StreamMap)),
    "WindowMap": partial(_parse_section, WindowMap),
    **{
        f"{kind.__name__} | None": partial(_parse_section, kind)
        for kind in (ImuMap, GpsMap, ReferenceMap, TopicMap, VectorMap)
    },
}
_CHOICES: dict[str, Callable[[str, Any], Any]] = {
    "delay_s": seconds,
    "gyro_unit": choice(GYRO_UNITS),
    "accel_unit": choice(ACCEL_UNITS),
    "time_unit": choice(TIME_UNITS),
    "clock": choice(CLOCKS),
    "frame": choice(FRAMES),
}
