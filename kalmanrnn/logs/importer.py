"""Import a log: open it, guess its map or read one, convert, and return a `Recording`."""

from __future__ import annotations

from collections.abc import Callable
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
from kalmanrnn.logs.mapping.parse import map_text, parse_map
from kalmanrnn.logs.mapping.schema import GpsMap, LogMap
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.readers.readings import no_progress
from kalmanrnn.logs.recording.geodesy import Origin
from kalmanrnn.logs.recording.recording import Recording, Stream, load_recording

# A gap is called one where it is that many times the usual step.
GAP_FACTOR = 5.0


def import_log(
    path: Path,
    map_file: Path | None = None,
    *,
    progress: Callable[[int, int], None] = no_progress,
) -> Recording:
    """Read a log as its map says, or as can be guessed; a drive file comes back as it is.

    A drive file holds the map that it was converted with; `map_file` means nothing to it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(
            f"there is no {path}", why="no such file or folder", cure="check the path: ls"
        )
    if path.suffix == ".npz":
        return load_recording(path)
    # A log may hold any numbers; what overflows becomes NaN, and is left out and counted.
    with np.errstate(over="ignore", invalid="ignore"):
        return _import(path, map_file and Path(map_file), progress)


def _import(path: Path, map_file: Path | None, progress: Callable[[int, int], None]) -> Recording:
    source, have, guessed = open_log(path), {}, []
    if map_file is None:
        text, have = guess_map(source, progress)
        name, guessed = "the guessed map", _guess_notes(text)
    else:
        name, text = map_file.name, map_text(map_file)
    layout = parse_map(name, text)
    readings, notes = read_sections(source, layout, progress, have)
    timed, more = to_common_clock(readings, layout)
    recording = build_recording(timed, layout)
    return recording._replace(notes=(*notes, *guessed, *more, *recording.notes), map=text)


def _guess_notes(text: str) -> list[str]:
    """Return what a guessed map says of its own guesses, its first line left out."""
    lines = [line.partition("# ")[2] for line in text.splitlines()[1:]]
    return [f"guessed: {line}" for line in lines if line]


def build_recording(timed: dict[str, TimedTopic], layout: LogMap) -> Recording:
    """Convert readings on one clock; `timed` by the topics' or files' names."""
    streams, notes, origin = [], [], None
    for role, section in named_sections(layout):
        topic = timed[section.topic or section.file]
        converted, more = _convert(role, topic, layout)
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
    reference, origin, more = _reference(timed, layout, streams, origin)
    more += check_overlap([*streams, *([reference] if reference else [])])
    start = min(float(s.t[0]) for s in streams)
    moved = [s._replace(t=s.t - start) for s in streams]
    return Recording(
        start=start,
        streams=tuple(moved),
        reference=reference and reference._replace(t=reference.t - start),
        origin=origin,
        notes=tuple(dict.fromkeys([*notes, *more])),
        reference_note=layout.reference.note if layout.reference else "",
        lever_arm_m=tuple(layout.gps.lever_arm_m) if layout.gps else (0.0, 0.0, 0.0),  # pyright: ignore[reportArgumentType]
        first=layout.first,
    )


def _convert(role: str, topic: TimedTopic, layout: LogMap) -> tuple[list[Stream], list[str]]:
    """Turn one section's readings into streams; fixes stay degrees, checked."""
    if role in layout.streams:
        return custom_stream(role, topic, layout.streams[role])
    if topic.type == "csv":
        converted, notes = {"imu": imu_from_columns, "gps": gps_from_columns}[role](topic, layout)
    else:
        converted, notes = convert_topic(role, topic, layout)
    if role == "imu":
        assert layout.imu is not None
        axes = layout.imu.axes or layout.body(None)
        if topic.type == "px4/sensor_combined" or not np.allclose(axes.matrix, np.eye(3)):
            name = axes.name if layout.imu.axes or layout.frame else "forward-right-down"
            notes = [*notes, f"{topic.name}: axes {name} turned into forward-left-up"]
        stream, more = apply_imu_units(converted[0], layout)
        converted, notes = [stream], notes + [s.replace("imu:", f"{topic.name}:") for s in more]
    if role == "gps":
        stream, more = check_geodetic(converted[0], topic.name)
        converted, notes = [stream, *converted[1:]], notes + more
    return converted, notes


def _clean(stream: Stream, name: str, delay_s: float) -> tuple[Stream, list[str]]:
    """Sort, leave out, move earlier; notes name the topic or file."""
    stream, notes = clean(stream, name)
    if delay_s:
        stream = stream._replace(t=stream.t - delay_s)
        notes.append(f"{name}: times moved {delay_s:g} s earlier, as the map says")
    return stream, notes


def _reference(
    timed: dict[str, TimedTopic], layout: LogMap, streams: list[Stream], origin: Origin | None
) -> tuple[Stream | None, Origin | None, list[str]]:
    section = layout.reference
    if section is None:
        return None, origin, []
    names = section.topic or (section.file,)
    found, origin = reference_stream([timed[n] for n in names], layout, origin)
    stream, notes = _clean(found.stream, ", ".join(names), section.delay_s)
    gps = next((s for s in streams if s.name == "gps"), None)
    stream, more = align_to_gps(found._replace(stream=stream), gps)
    return stream, origin, notes + more


def check_overlap(streams: list[Stream]) -> list[str]:
    """Refuse an IMU, GPS and reference that share no time: UserError; note the same of others."""
    notes = []
    for i, one in enumerate(streams):
        for other in streams[i + 1 :]:
            a, b = sorted((one, other), key=lambda s: s.t[0])
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
                    cure="check `time`, `delay_s` and `clock` in the map; kalmanrnn inspect LOG",
                )
            notes.append(what)
    return notes


def describe_rate(stream: Stream) -> list[str]:
    """Say a stream's usual rate, and where readings are missing."""
    steps = np.diff(stream.t)
    if not steps.size:
        return [f"{stream.name}: a single reading"]
    usual = float(np.median(steps))
    notes = [f"{stream.name}: {len(stream.t)} readings at {1 / usual:.3g} Hz"]
    long = int((steps > GAP_FACTOR * usual).sum())
    if long:
        notes.append(f"{stream.name}: {long} gaps, up to {steps.max():.2f} s")
    return notes
