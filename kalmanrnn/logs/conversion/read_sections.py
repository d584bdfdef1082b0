"""Read the topics and files that a map names, each once, and check their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.mapping.schema import ROLES, TIME_UNITS, LogMap
from kalmanrnn.logs.mapping.values import suggest
from kalmanrnn.logs.readers.readings import Readings, Source

# Keys of a section that hold names of columns: lists, and single ones.
LISTS = ("gyro", "accel", "ecef_position", "ecef_velocity", "quaternion_wxyz")
SINGLES = ("latitude", "longitude", "altitude", "speed", "course")


def named_sections(log_map: LogMap) -> Iterator[tuple[str, Any]]:
    """Yield each stream's name and section, except the reference."""
    for role in ROLES:
        if getattr(log_map, role) is not None:
            yield role, getattr(log_map, role)
    yield from log_map.streams.items()


def read_sections(
    source: Source,
    log_map: LogMap,
    progress: Callable[[int, int], None],
    known: Mapping[str, Readings],
) -> tuple[dict[str, Readings], list[str]]:
    """Return readings by topic or file, and the reader's notes; `known` need not be read."""
    every = [section for _, section in named_sections(log_map)]
    every += [log_map.reference] if log_map.reference is not None else []
    files: dict[str, list[Any]] = {}
    topics = []
    for section in every:
        if getattr(section, "file", ""):
            files.setdefault(section.file, []).append(section)
        else:
            topics += [section.topic] if isinstance(section.topic, str) else list(section.topic)
    names = list(dict.fromkeys([*topics, *files]))
    _check_names(source, topics, list(files))
    new = [name for name in names if name not in known]
    read = dict(zip(new, source.read(new, progress), strict=True)) if new else {}
    found = {name: known[name] if name in known else read[name] for name in names}
    for name, parts in files.items():
        found[name] = _with_clock(found[name], parts)
    notes = list(source.notes)
    if source.kind == "csv":
        notes = [note for note in notes if note.split(": ")[0] in files]
    return found, notes


def _check_names(source: Source, topics: list[str], files: list[str]) -> None:
    tables = source.kind == "csv"
    if refused := topics if tables else files:
        raise UserError(
            f"the map names {'topics' if tables else 'files'} ({', '.join(refused)}), "
            f"and {source.path} has none",
            why="bags and ULogs have topics, CSV files have columns",
            cure=f"write `{'file' if tables else 'topic'}: ...` in the map, "
            "see docs/your-own-logs.md",
        )
    known = {topic.name: topic.count for topic in source.topics}
    for name in (*topics, *files):
        if known.get(name) == 0 and not tables:
            raise UserError(
                f"{source.path}: the topic {name!r} has no messages",
                why="it was advertised, but nothing was recorded on it",
                cure="remove it from the map, or record again; ros2 bag info shows the counts",
            )
        if name not in known:
            file, topic = f"there is no {Path(source.path) / name}", f"has no topic {name!r}"
            raise UserError(
                file if tables else f"{source.path} {topic}",
                why="the map names it, but the log does not have it",
                cure=suggest(name, known),
            )


def columns_of(section: Any) -> list[str]:
    """Return the columns that a section reads from its file."""
    columns = [column for key in LISTS for column in getattr(section, key, ())]
    columns += [getattr(section, key, "") for key in SINGLES]
    columns += [channel.column for channel in getattr(section, "channels", {}).values()]
    return [column for column in columns if column]


def _with_clock(readings: Readings, parts: list[Any]) -> Readings:
    """Check a file's columns for all sections that read it, and apply their time column."""
    name = readings.topic.name
    clocks = {(section.time, section.time_unit) for section in parts}
    if len(clocks) > 1:
        raise UserError(
            f"{name}: two sections of the map give it different times",
            why=", ".join(f"{time} in {unit}" for time, unit in sorted(clocks)),
            cure="give both the same `time` and `time_unit`",
        )
    for section in parts:
        wanted = columns_of(section)
        if len(set(wanted)) < len(wanted):
            raise UserError(
                f"{name}: the map names a column twice",
                why=f"its columns are {', '.join(wanted)}",
                cure="name each column once",
            )
        _check_columns(readings, [*([section.time] if section.time else []), *wanted])
    time, unit = clocks.pop()
    return readings._replace(log_t=_seconds(readings, time, unit))


def _check_columns(readings: Readings, columns: list[str]) -> None:
    """Refuse a column that is missing or not numeric; UserError names the line."""
    name = readings.topic.name
    for column in columns:
        if column in readings.dropped:
            raise UserError(
                f"{name}: column {column!r} is not numeric: {readings.dropped[column]}",
                why="readings must be numbers; empty cells count as none",
                cure=f"correct or remove that line of {name}",
            )
        if column not in readings.fields:
            raise UserError(
                f"{name}: no column {column!r}",
                why="the map names it, but the file does not have it",
                cure=suggest(column, [*readings.fields, *readings.dropped]),
            )


def _seconds(readings: Readings, time: str, unit: str) -> np.ndarray:
    """Return a file's times [s]: by the map's unit, else by the column's name or magnitude."""
    if not time:
        if clock_column(readings) is None and is_row_count(readings):
            raise UserError(
                f"{readings.topic.name}: no time column",
                why=f"it has {', '.join(readings.fields)}"[:200],
                cure="add `time: COLUMN` to its section of the map",
            )
        return readings.log_t
    if unit:
        return readings.fields[time] * TIME_UNITS[unit]
    return readings.log_t if clock_column(readings) == time else readings.fields[time]


def clock_column(readings: Readings) -> str | None:
    """Return the column that the file's reader used as time, or None."""
    for column, values in readings.fields.items():
        for scale in TIME_UNITS.values():
            if np.array_equal(values * scale, readings.log_t):
                return column
    return None


def is_row_count(readings: Readings) -> bool:
    """Whether a file's reader found no time column and counted rows."""
    return np.array_equal(readings.log_t, np.arange(len(readings.log_t), dtype=float))
