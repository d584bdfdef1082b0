"""Read what a map names, once each: topics through their log's reader, files line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.mapping.bad_cell import locate_bad_cell
from kalmanrnn.logs.mapping.schema import TIME_UNITS, LogMap
from kalmanrnn.logs.mapping.values import suggest
from kalmanrnn.logs.readers.readings import Readings, Source

ROLES = ("imu", "gps", "gps_velocity", "magnetometer", "barometer", "odometry", "pose")


def named_sections(layout: LogMap) -> Iterator[tuple[str, Any]]:
    """Yield each stream's name and section, the reference left out."""
    for role in ROLES:
        if getattr(layout, role) is not None:
            yield role, getattr(layout, role)
    yield from layout.streams.items()


def read_sections(
    source: Source,
    layout: LogMap,
    progress: Callable[[int, int], None],
    have: Mapping[str, Readings],
) -> tuple[dict[str, Readings], list[str]]:
    """Return readings by topic or file, and what the reader had to repair; `have` are read."""
    every = [section for _, section in named_sections(layout)]
    every += [layout.reference] if layout.reference is not None else []
    files: dict[str, list[Any]] = {}
    topics = []
    for section in every:
        if getattr(section, "file", ""):
            files.setdefault(section.file, []).append(section)
        else:
            topics += [section.topic] if isinstance(section.topic, str) else list(section.topic)
    names = list(dict.fromkeys([*topics, *files]))
    _check_names(source, topics, list(files))
    new = [name for name in names if name not in have]
    read = dict(zip(new, source.read(new, progress), strict=True)) if new else {}
    found = {name: have[name] if name in have else read[name] for name in names}
    for name, parts in files.items():
        found[name] = _with_clock(source, found[name], parts)
    notes = list(source.notes)
    if source.kind == "csv":
        notes = [note for note in notes if note.split(": ")[0] in files]
    return found, notes


def _check_names(source: Source, topics: list[str], files: list[str]) -> None:
    tables = source.kind == "csv"
    if topics if tables else files:
        raise UserError(
            f"the map names {'topics' if tables else 'files'} "
            f"({', '.join(topics if tables else files)}), and {source.path} has none",
            why="bags and ULogs have topics; CSV files have columns",
            cure=f"write `{'file' if tables else 'topic'}: ...` in the map, "
            "see docs/your-own-logs.md",
        )
    known = {topic.name: topic.count for topic in source.topics}
    for name in (*topics, *files):
        if known.get(name) == 0 and not tables:
            raise UserError(
                f"{source.path}: the topic {name!r} has no messages",
                why="it was announced, and nothing was ever sent or recorded on it",
                cure="leave it out of the map, or record again: ros2 bag info shows the counts",
            )
        if name not in known:
            raise UserError(
                f"there is no {Path(source.path) / name}"
                if tables
                else f"{source.path} has no topic {name!r}",
                why="the map names it, the log does not have it",
                cure=suggest(name, known),
            )


def columns_of(section: Any) -> list[str]:
    """Return the columns that a section reads from its file."""
    names = [
        *(getattr(section, n, ()) for n in ("gyro", "accel", "ecef_position", "ecef_velocity")),
        getattr(section, "quaternion_wxyz", ()),
    ]
    columns = [column for part in names for column in part]
    for one in ("latitude", "longitude", "altitude", "speed", "course"):
        columns += [getattr(section, one)] if getattr(section, one, "") else []
    columns += [c.column for c in getattr(section, "channels", {}).values() if c.column]
    return columns


def _with_clock(source: Source, readings: Readings, parts: list[Any]) -> Readings:
    """Check a file's columns for all sections that name it, and take the clock they name."""
    name = readings.topic.name
    clocks = {(section.time, section.time_unit) for section in parts}
    if len(clocks) > 1:
        raise UserError(
            f"{name}: two sections of the map read it by different clocks",
            why=", ".join(f"{time} in {unit}" for time, unit in sorted(clocks)),
            cure="give both the same `time` and `time_unit`",
        )
    for section in parts:
        wanted = columns_of(section)
        if len(set(wanted)) < len(wanted):
            raise UserError(
                f"{name}: a column is named twice in the map",
                why=f"asked for {', '.join(wanted)}",
                cure="name each column once",
            )
        _check_columns(source, readings, section, wanted)
    time, unit = clocks.pop()
    return readings._replace(log_t=_seconds(readings, time, unit))


def _check_columns(source: Source, readings: Readings, section: Any, wanted: list[str]) -> None:
    """Refuse a column that is missing or holds text; UserError names the line."""
    wanted = [*([section.time] if section.time else []), *wanted]
    if all(column in readings.fields for column in wanted):
        return
    path, name = Path(source.path), readings.topic.name
    # The reader leaves out columns that hold text; this one says where.
    locate_bad_cell(path / name if path.is_dir() else path, wanted)
    missing = next(column for column in wanted if column not in readings.fields)
    raise UserError(
        f"{name}: no column {missing!r}",
        why="the map names it, and the file has none of that name that holds numbers",
        cure=suggest(missing, readings.fields),
    )


def _seconds(readings: Readings, time: str, unit: str) -> np.ndarray:
    """Return a file's times [s]: by the map's unit, else as the column's name or size says."""
    if not time:
        if clock_column(readings) is None and is_row_count(readings):
            raise UserError(
                f"{readings.topic.name}: no column is its time",
                why=f"it has {', '.join(readings.fields)}"[:200],
                cure="add `time: COLUMN` to its section of the map",
            )
        return readings.log_t
    if unit:
        return readings.fields[time] * TIME_UNITS[unit]
    return readings.log_t if clock_column(readings) == time else readings.fields[time]


def clock_column(readings: Readings) -> str | None:
    """Return the column that a file's reader took for the time; None for none, or two."""
    for column, values in readings.fields.items():
        for scale in TIME_UNITS.values():
            if np.array_equal(values * scale, readings.log_t):
                return column
    return None


def is_row_count(readings: Readings) -> bool:
    """Tell whether a file's reader found no clock, and counted the rows."""
    return np.array_equal(readings.log_t, np.arange(len(readings.log_t), dtype=float))
