"""Import a log: open it, read or guess its map, convert it to a `Recording`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.conversion.clock import TimedTopic, clean, to_common_clock
from kalmanrnn.logs.conversion.convert import (
    apply_imu_units,
    convert_topic,
    custom_stream,
    gps_from_columns,
    imu_from_columns,
)
from kalmanrnn.logs.conversion.local_frame import check_geodetic, regularise, to_local
from kalmanrnn.logs.conversion.read_sections import named_sections, read_sections
from kalmanrnn.logs.conversion.reference import align_to_gps, reference_stream
from kalmanrnn.logs.guessing.guess_map import guess_map
from kalmanrnn.logs.mapping.parse import parse_map
from kalmanrnn.logs.mapping.schema import GpsMap, LogMap
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.readers.readings import no_progress
from kalmanrnn.logs.recording.geodesy import Origin
from kalmanrnn.logs.recording.recording import Recording, Stream, load_recording

# A step that many times the median counts as a gap.
GAP_FACTOR = 5.0


def import_log(
    path: Path, map_file: Path | None = None, *, progress: Callable[[int, int], None] = no_progress
) -> Recording:
    """Read a log by its map, or by a guessed one; a drive file (.npz) is loaded as it is.

    A drive file holds the map it was made with, so `map_file` does not apply to it. UserError
    if the log cannot be read or converted.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"there is no {path}", why="no such file or folder", cure="check the path")
    if path.suffix == ".npz":
        return load_recording(path)
    # A log may hold any numbers; those that overflow become NaN, are dropped and counted.
    with np.errstate(over="ignore", invalid="ignore"):
        return _import(path, map_file and Path(map_file), progress)


def _import(path: Path, map_file: Path | None, progress: Callable[[int, int], None]) -> Recording:
    source, have, guessed = open_log(path), {}, []
    if map_file is None:
        text, have = guess_map(source, progress)
        comments = [line.partition("# ")[2] for line in text.splitlines()[1:]]
        name, guessed = "the guessed map", [f"guessed: {c}" for c in comments if c]
    else:
        try:
            name, text = map_file.name, map_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            cure = "give the map's path with --map FILE.yaml"
            raise UserError(f"cannot read the map {map_file}", why=str(e), cure=cure) from e
    log_map = parse_map(name, text)
    readings, notes = read_sections(source, log_map, progress, have)
    timed, more = to_common_clock(readings, log_map)
    recording = build_recording(timed, log_map)
    return recording._replace(notes=(*notes, *guessed, *more, *recording.notes), map=text)


def build_recording(timed: dict[str, TimedTopic], log_map: LogMap) -> Recording:
    """Convert readings on one clock; `timed` by topic or file name."""
    streams, notes, origin = [], [], None
    for role, section in named_sections(log_map):
        topic = timed[section.topic or section.file]
        converted, more = _convert(role, topic, log_map)
        notes += more
        for stream in converted:
            stream, more = _clean(stream, topic.name, section.delay_s)
            notes += more
            if isinstance(section, GpsMap):
                stream, more = regularise(stream, topic.name, section.period_s)
                notes += more
            if role == "gps" and stream.name == "gps":
                stream, origin, world = to_local(stream)
                notes.append(world)
            streams.append(stream)
            notes += describe_rate(stream)
    reference, origin, more = _convert_reference(timed, log_map, streams, origin)
    more += check_overlap([*streams, *([reference] if reference else [])])
    start = min(float(s.t[0]) for s in streams)
    shifted = [s._replace(t=s.t - start) for s in streams]
    return Recording(
        start=start,
        streams=tuple(shifted),
        reference=reference and reference._replace(t=reference.t - start),
        origin=origin,
        notes=tuple(dict.fromkeys([*notes, *more])),
        reference_note=log_map.reference.note if log_map.reference else "",
        lever_arm_m=tuple(log_map.gps.lever_arm_m) if log_map.gps else (0.0, 0.0, 0.0),  # pyright: ignore[reportArgumentType]
        first=log_map.first,
    )


def _convert(role: str, topic: TimedTopic, log_map: LogMap) -> tuple[list[Stream], list[str]]:
    """Convert one section's readings to streams; fixes are checked and stay in degrees."""
    if role in log_map.streams:
        return custom_stream(role, topic, log_map.streams[role])
    if topic.type == "csv":
        converted, notes = {"imu": imu_from_columns, "gps": gps_from_columns}[role](topic, log_map)
    else:
        converted, notes = convert_topic(role, topic, log_map)
    if role == "imu":
        assert log_map.imu is not None
        axes = log_map.imu.axes or log_map.body(None)
        if topic.type == "px4/sensor_combined" or not np.allclose(axes.matrix, np.eye(3)):
            name = axes.name if log_map.imu.axes or log_map.frame else "forward-right-down"
            notes = [*notes, f"{topic.name}: axes rotated from {name} to forward-left-up"]
        stream, more = apply_imu_units(converted[0], log_map)
        converted, notes = [stream], notes + [s.replace("imu:", f"{topic.name}:") for s in more]
    if role == "gps":
        stream, more = check_geodetic(converted[0], topic.name)
        converted, notes = [stream, *converted[1:]], notes + more
    return converted, notes


def _clean(stream: Stream, name: str, delay_s: float) -> tuple[Stream, list[str]]:
    """Clean a stream and apply its delay; notes name the topic or file."""
    stream, notes = clean(stream, name)
    if delay_s:
        stream = stream._replace(t=stream.t - delay_s)
        notes.append(f"{name}: times shifted {delay_s:g} s earlier, by the map")
    return stream, notes


def _convert_reference(
    timed: dict[str, TimedTopic], log_map: LogMap, streams: list[Stream], origin: Origin | None
) -> tuple[Stream | None, Origin | None, list[str]]:
    section = log_map.reference
    if section is None:
        return None, origin, []
    names = section.topic or (section.file,)
    found, origin = reference_stream([timed[n] for n in names], log_map, origin)
    stream, notes = _clean(found.stream, ", ".join(names), section.delay_s)
    gps = next((s for s in streams if s.name == "gps"), None)
    stream, more = align_to_gps(found._replace(stream=stream), gps)
    return stream, origin, notes + more


def check_overlap(streams: list[Stream]) -> list[str]:
    """Raise UserError if IMU, GPS or reference do not overlap in time; note it for others."""
    notes = []
    for pair in combinations(streams, 2):
        a, b = sorted(pair, key=lambda s: s.t[0])
        if a.t[-1] >= b.t[0]:
            continue
        what = (
            f"{a.name} and {b.name} do not overlap in time: {a.name} ends at {a.t[-1]:.3f} s, "
            f"{b.name} starts at {b.t[0]:.3f} s"
        )
        if {a.name, b.name} <= {"imu", "gps", "reference"}:
            raise UserError(
                what,
                why="they must be stamped by one clock",
                cure="check `time`, `delay_s`, `clock` in the map; see kalmanrnn inspect LOG",
            )
        notes.append(what)
    return notes


def describe_rate(stream: Stream) -> list[str]:
    """Describe a stream's rate and gaps."""
    steps = np.diff(stream.t)
    if not steps.size:
        return [f"{stream.name}: a single reading"]
    median_step = float(np.median(steps))
    notes = [f"{stream.name}: {len(stream.t)} readings at {1 / median_step:.3g} Hz"]
    long = int((steps > GAP_FACTOR * median_step).sum())
    if long:
        notes.append(f"{stream.name}: {long} gaps, up to {steps.max():.2f} s")
    return notes
