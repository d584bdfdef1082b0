"""PX4's ULog as readings; by pyulog."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.core.extras import require
from kalmanrnn.logs.readers.readings import Readings, Source, Topic, guard

CURE = "download the log from the vehicle again, or use another"
HEADER_BYTES, MAX_STUCK = 3, 100
CLOCKS = ("timestamp", "timestamp_sample")


def open_ulog(path: Path) -> Source:
    """Open a ULog; pyulog reads it whole, so it stays in memory (about its own size)."""
    core = require("pyulog.core", "logs", f"read {path}")
    # pyulog prints its complaints on stdout, which is kept for results.
    with guard(path, CURE), contextlib.redirect_stdout(io.StringIO()), path.open("rb") as file:
        tracked, last = _track_reads(file)
        log = core.ULog(tracked)
    datasets = {
        f"{d.name}.{d.multi_id}" if d.multi_id else d.name: d
        for d in log.data_list
        if "timestamp" in d.data
    }
    if not datasets:
        raise UserError(f"{path} holds no messages", why="the log ends early", cure=CURE)
    notes = []
    if log.dropouts:
        lost_s = sum(d.duration for d in log.dropouts) / 1e3
        notes.append(
            f"the logger dropped messages {len(log.dropouts)} times, {lost_s:.3f} s in total"
        )
    if log.file_corruption:
        notes.append(f"{path.name} is damaged in places: what can be read is used")
    if (last["asked"], last["got"]) != (HEADER_BYTES, 0):
        notes.append(f"{path.name} ends in the middle of a message: what there is is used")
    topics = tuple(
        Topic(name, f"px4/{d.name}", len(d.data["timestamp"])) for name, d in datasets.items()
    )
    return Source(str(path), "ulog", topics, partial(_read, datasets), tuple(notes))


def _track_reads(file: BinaryIO) -> tuple[Any, dict[str, int]]:
    """Return the file as pyulog uses it, and what its last read asked for and got.

    pyulog stops silently where a file is cut; an intact one ends between messages, so that the
    last read asks for a header and gets nothing. In some damaged files it seeks back and forth
    for ever: RuntimeError (which it does not swallow) ends that.
    """
    last = {"asked": 0, "got": 0, "furthest": -1, "stuck": 0}

    def read(size: int) -> bytes:
        if size == HEADER_BYTES:
            place = file.tell()
            last["stuck"] = 0 if place > last["furthest"] else last["stuck"] + 1
            last["furthest"] = max(place, last["furthest"])
            if last["stuck"] > MAX_STUCK:
                raise RuntimeError(f"the file is damaged near byte {place}")
        got = file.read(size)
        last["asked"], last["got"] = size, len(got)
        return got

    return SimpleNamespace(read=read, seek=file.seek, tell=file.tell, close=file.close), last


def _read(
    datasets: dict[str, Any], names: Sequence[str], progress: Callable[[int, int], None]
) -> list[Readings]:
    found = [_readings(name, datasets[name]) for name in names]
    total = sum(r.topic.count for r in found)
    progress(total, total)
    return found


def _readings(name: str, data: Any) -> Readings:
    """Take the numbers of one topic, not its text; its two clocks become log_t and stamp_t."""
    log_t = data.data["timestamp"] * 1e-6
    stamp_t = None
    if "timestamp_sample" in data.data:
        sampled = data.data["timestamp_sample"]
        stamp_t = np.where(sampled > 0, sampled * 1e-6, np.nan) if sampled.any() else None
    fields = {
        f.field_name: data.data[f.field_name].astype(float)
        for f in data.field_data
        if f.type_str != "char" and f.field_name not in CLOCKS
    }
    return Readings(Topic(name, f"px4/{data.name}", len(log_t)), log_t, stamp_t, fields)
