"""A recording: one log in SI units, our axes and one clock, whatever its format was.

`kalmanrnn import` writes it and everything after reads it; it is independent of scenarios,
which find columns by the names of their channels (`CHANNELS`). As a file it is a `.npz` of
plain arrays and one JSON text, described in docs/drive-file.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.core.npz import read_npz, write_npz
from kalmanrnn.logs.recording.geodesy import Origin

FORMAT, VERSION = "kalmanrnn drive", 1

# Streams of the importer and their channels; body axes are forward, left, up, the world is
# east, north, up. Custom streams may have any others.
CHANNELS = {
    "imu": {**{f"gyro_{a}": "rad/s" for a in "xyz"}, **{f"accel_{a}": "m/s^2" for a in "xyz"}},
    "gps": {f"gps_{a}": "m" for a in ("east", "north", "up")},
    "gps_velocity": {f"gps_velocity_{a}": "m/s" for a in ("east", "north", "up")},
    "magnetometer": {f"mag_{a}": "T" for a in "xyz"},
    "barometer": {"pressure": "Pa"},
    "odometry": {
        **{f"odometry_velocity_{a}": "m/s" for a in "xyz"},
        **{f"odometry_turn_{a}": "rad/s" for a in "xyz"},
    },
    "pose": {**{f"pose_{a}": "m" for a in "xyz"}, **{f"pose_q{a}": "" for a in "xyzw"}},
}


class Stream(NamedTuple):
    """Readings of one sensor.

    t: `[n]` seconds since `Recording.start`, strictly increasing: when each reading was valid.
    values: `[n, c]` SI. channels: their names; units: SI, radians.
    variance: `[n, c]` as logged, NaN where unknown; or None.
    """

    name: str
    t: np.ndarray
    values: np.ndarray
    channels: tuple[str, ...]
    units: tuple[str, ...]
    variance: np.ndarray | None = None


class Recording(NamedTuple):
    """One log.

    start: seconds on the log's own clock (Unix or since boot) at t = 0.
    reference: the trajectory to compare with; a channel is a state block's name and a component,
        `position_0` (east), `velocity_2` (up), `attitude_0` to `_3` (quaternion x, y, z, w).
    origin: of the local frame; None if unknown.
    notes: sentences on what was converted, shifted or dropped. reference_note: on the reference.
    lever_arm_m: the GPS antenna's position, forward, left, up of the IMU.
    first: mean of the initial belief by block, where the map gives it.
    map: the YAML it was imported with.
    """

    start: float
    streams: tuple[Stream, ...]
    reference: Stream | None = None
    origin: Origin | None = None
    notes: tuple[str, ...] = ()
    reference_note: str = ""
    lever_arm_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    first: dict[str, tuple[float, ...]] = {}  # noqa: RUF012
    map: str = ""

    def stream(self, name: str) -> Stream | None:
        """Return a stream by name, or None."""
        return next((s for s in self.streams if s.name == name), None)

    def columns(self, channels: Sequence[str]) -> tuple[Stream, list[int]] | None:
        """Return the stream that has all of these channels and their columns, or None."""
        for stream in self.streams:
            if set(channels) <= set(stream.channels):
                return stream, [stream.channels.index(channel) for channel in channels]
        return None

    def column(self, channel: str) -> tuple[Stream, int] | None:
        """Return the stream that has a channel and its column, or None."""
        found = self.columns([channel])
        return found and (found[0], found[1][0])


def save_recording(path: Path, recording: Recording) -> None:
    """Write a recording as a drive file."""
    arrays: dict[str, np.ndarray] = {}
    described = []
    every = [*recording.streams, *([recording.reference] if recording.reference else [])]
    for i, s in enumerate(every):
        arrays |= {f"{i}/t": s.t, f"{i}/values": s.values}
        if s.variance is not None:
            arrays[f"{i}/variance"] = s.variance
        described.append({"name": s.name, "channels": s.channels, "units": s.units})
    facts = recording._asdict() | {
        "format": FORMAT,
        "version": VERSION,
        "streams": described[: len(recording.streams)],
        "reference": described[-1] if recording.reference else None,
    }
    write_npz(path, arrays, facts)


def load_recording(path: Path) -> Recording:
    """Read a drive file; UserError if it is damaged or something else."""
    cure = "import the log again: kalmanrnn import LOG --out drive.npz"
    missing = UserError(
        f"there is no {path}",
        why=f"no such file; the current folder is {Path.cwd()}",
        cure="check the path",
    )
    arrays, facts = read_npz(path, missing=missing, cure=cure)
    if facts.get("format") != FORMAT:
        raise UserError(
            f"{path} is not a drive file", why="its format is not marked as one", cure=cure
        )
    if facts.get("version") != VERSION:
        raise UserError(
            f"{path} is a drive file of version {facts.get('version')}",
            why=f"this version of kalmanrnn reads version {VERSION}",
            cure=cure,
        )
    try:
        return _recording(arrays, facts)
    except (KeyError, ValueError, TypeError, AttributeError) as problem:
        raise UserError(
            f"{path} is damaged", why=f"{type(problem).__name__}: {problem}"[:160], cure=cure
        ) from None


def _recording(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Recording:
    described = [*facts["streams"], *([facts["reference"]] if facts["reference"] else [])]
    streams = []
    for i, d in enumerate(described):
        variance = arrays.get(f"{i}/variance")
        stream = Stream(
            name=d["name"],
            t=arrays[f"{i}/t"].astype(float),
            values=arrays[f"{i}/values"].astype(float),
            channels=tuple(d["channels"]),
            units=tuple(d["units"]),
            variance=None if variance is None else variance.astype(float),
        )
        check_stream(stream)
        streams.append(stream)
    count = len(facts["streams"])
    return Recording(
        start=float(facts["start"]),
        streams=tuple(streams[:count]),
        reference=streams[count] if facts["reference"] else None,
        origin=Origin(*map(float, facts["origin"])) if facts["origin"] else None,
        notes=tuple(map(str, facts["notes"])),
        reference_note=str(facts["reference_note"]),
        lever_arm_m=tuple(map(float, facts["lever_arm_m"])),  # pyright: ignore[reportArgumentType]
        first={str(k): tuple(map(float, v)) for k, v in facts["first"].items()},
        map=str(facts["map"]),
    )


def check_stream(s: Stream) -> None:
    """Check shapes, finite values and increasing times; ValueError otherwise."""
    if s.t.ndim != 1 or s.values.shape != (len(s.t), len(s.channels)):
        raise ValueError(f"{s.name}: t is {s.t.shape}, values {s.values.shape}")
    if len(s.units) != len(s.channels):
        raise ValueError(f"{s.name}: {len(s.channels)} channels, {len(s.units)} units")
    if s.variance is not None and s.variance.shape != s.values.shape:
        raise ValueError(f"{s.name}: variance is {s.variance.shape}, values {s.values.shape}")
    if not len(s.t):
        raise ValueError(f"{s.name} is empty")
    if not (np.isfinite(s.t).all() and np.isfinite(s.values).all()):
        raise ValueError(f"{s.name}: times and readings must be finite")
    if not (np.diff(s.t) > 0).all():
        raise ValueError(f"{s.name}: times must increase")
