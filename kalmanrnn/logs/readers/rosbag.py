"""ROS bags as readings: ROS 1 `.bag`, ROS 2 sqlite3 and MCAP; by rosbags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.core.extras import require
from kalmanrnn.logs.readers.readings import Readings, Source, Topic, guard
from kalmanrnn.logs.readers.ros_types import Encoding, find_types
from kalmanrnn.logs.readers.ros_wire import decode

BLOCK = 4096
BLOCK_BYTES = 16 << 20
MAX_CHUNK_BYTES = 1 << 29


class TopicBuffer(NamedTuple):
    """One topic's messages so far; the lists fill while a bag is read.

    times [ns] and raws: not decoded yet. blocks: decoded. frame: of the first message.
    """

    topic: Topic
    encoding: Encoding
    times: list[int]
    raws: list[bytes]
    blocks: list[tuple[np.ndarray, dict[str, np.ndarray]]]
    frame: list[str]


def open_bag(path: Path) -> Source:
    """Open a bag: a file, or the folder with its metadata.yaml."""
    with _open_reader(path) as reader:
        kind = _kind(path, reader)
        chosen, notes = _select_topics(path, reader)
        notes += _wal_notes(reader)
        topics = tuple(buffer.topic for buffer, _ in chosen.values())
    if not topics:
        raise UserError(
            f"no topic of {path} can be read",
            why="; ".join(notes) or "it has none",
            cure="record it again with an IMU's topic and those of the sensors that correct it",
        )
    return Source(str(path), kind, topics, partial(_read, path), tuple(notes))


def _read(path: Path, names: Sequence[str], progress: Callable[[int, int], None]) -> list[Readings]:
    """Read the topics asked for, block by block."""
    with _open_reader(path) as reader:
        chosen = _select_topics(path, reader)[0]
        asked = {name: chosen[name] for name in names}
        buffers = {c.id: buffer for buffer, connections in asked.values() for c in connections}
        wanted = [c for _, connections in asked.values() for c in connections]
        total, done, pending = sum(p.topic.count for p, _ in asked.values()), 0, 0
        for connection, t, raw in _messages(path, reader, wanted):
            buffer = buffers[connection.id]
            buffer.times.append(t)
            buffer.raws.append(raw)
            pending += len(raw)
            if len(buffer.raws) >= BLOCK or pending > BLOCK_BYTES:
                done += sum(_flush(path, p) for p, _ in asked.values())
                pending = 0
                progress(done, total)
        for buffer, _ in asked.values():
            _flush(path, buffer)
    progress(total, total)
    read = {name: _readings(buffer) for name, (buffer, _) in asked.items()}
    return [read[name] for name in names]


def _messages(path: Path, reader: Any, wanted: list[Any]) -> Iterator[tuple[Any, int, bytes]]:
    # rosbags reads all topics if none is asked for.
    if wanted:
        with guard(path, _cure(path)):
            yield from reader.messages(wanted)


def _flush(path: Path, buffer: TopicBuffer) -> int:
    """Decode the pending messages; return how many there were."""
    count = len(buffer.raws)
    if count:
        with guard(path, _cure(path), part=buffer.topic.name):
            if not buffer.blocks:
                header = getattr(buffer.encoding.deserialize(buffer.raws[0]), "header", None)
                buffer.frame.append(str(getattr(header, "frame_id", "")))
            fields = decode(buffer.encoding, buffer.raws)
        buffer.blocks.append((np.array(buffer.times, np.int64), fields))
        buffer.times.clear()
        buffer.raws.clear()
    return count


def _readings(buffer: TopicBuffer) -> Readings:
    """Join a topic's blocks; keep the fields that all of its messages have."""
    if not buffer.blocks:
        return Readings(buffer.topic._replace(count=0), np.zeros(0), None, {})
    times = np.concatenate([t for t, _ in buffer.blocks])
    fields = {}
    for name, a in list(buffer.blocks[0][1].items()):
        # Blocks give up what is joined, so that only one field is in memory twice.
        parts = [f.pop(name, None) for _, f in buffer.blocks]
        if all(part is not None and part.shape[1:] == a.shape[1:] for part in parts):
            fields[name] = np.concatenate([part for part in parts if part is not None])
    stamp = None
    if {"header.stamp.sec", "header.stamp.nanosec"} <= fields.keys():
        stamp = fields["header.stamp.sec"] + 1e-9 * fields["header.stamp.nanosec"]
    return Readings(
        buffer.topic._replace(count=len(times)),
        times / 1e9,
        stamp,
        {name: a for name, a in fields.items() if not name.startswith("header.")},
        buffer.frame[0],
    )


def _select_topics(
    path: Path, reader: Any
) -> tuple[dict[str, tuple[TopicBuffer, list[Any]]], list[str]]:
    """Return an empty buffer and the connections of each topic that can be read, and notes."""
    notes, found, undefined = [], {}, set()
    for name in sorted({c.topic for c in reader.connections}):
        every = [c for c in reader.connections if c.topic == name]
        kind = every[0].msgtype
        same = [c for c in every if c.msgtype == kind]
        typestore, why = find_types(path, every[0])
        if typestore is None:
            notes.append(f"{name} is skipped, of type {kind}: {why}")
            continue
        if not every[0].msgdef.format.value:
            undefined.add(kind)
        if len(same) < len(every):
            notes.append(f"{name} has messages of several types; only {kind} is read")
        topic = Topic(name, kind, sum(c.msgcount for c in same))
        encoding = Encoding(typestore, kind, cdr=not _is_ros1(path))
        found[name] = (TopicBuffer(topic, encoding, [], [], [], []), same)
    if undefined:
        notes.append(
            f"no type definitions in the bag for {', '.join(sorted(undefined))}: "
            "those of ROS 2 Humble are used"
        )
    return found, notes


@contextmanager
def _open_reader(path: Path) -> Iterator[Any]:
    """Open a bag with rosbags' reader for its format.

    Not with AnyReader, which refuses a whole bag for one definition that it cannot read or
    whose hash it computes differently.
    """
    module = require(
        "rosbags.rosbag1" if _is_ros1(path) else "rosbags.rosbag2", "logs", f"read {path}"
    )
    try:
        with guard(path, _cure(path)):
            reader = module.Reader(path)
            reader.open()
    except UserError as problem:
        if "Profile is not ros2" not in problem.why:
            raise
        raise UserError(
            f"{path} holds no ROS 2 messages",
            why="an MCAP file may hold other kinds (ROS 1, protobuf, JSON), and this one does",
            cure="give the bag it was made from, or record with ros2 bag record -s mcap",
        ) from None
    try:
        for storage in _storages(reader):
            _check_chunks(path, storage)
        yield reader
    finally:
        reader.close()


def _is_ros1(path: Path) -> bool:
    return path.suffix == ".bag"


def _storages(reader: Any) -> list[Any]:
    """Return the message stores: the files of a ROS 2 bag, or a ROS 1 bag itself."""
    top = getattr(reader, "storage", reader)
    return getattr(top, "storages", [top])


def _kind(path: Path, reader: Any) -> str:
    if _is_ros1(path):
        return "ros1"
    names = [type(s).__name__ for s in _storages(reader)]
    return "mcap" if any(name.startswith("Mcap") for name in names) else "ros2"


def _wal_notes(reader: Any) -> list[str]:
    """Note messages that a crashed recorder left in a write-ahead log; they are not read."""
    beside = [Path(f"{s.path}-wal") for s in _storages(reader) if hasattr(s, "dbconn")]
    return [
        f"{wal.name} holds messages that are not read: sqlite3 {wal.name.removesuffix('-wal')} "
        "'PRAGMA wal_checkpoint(TRUNCATE)' recovers them"
        for wal in beside
        if wal.exists() and wal.stat().st_size
    ]


def _check_chunks(path: Path, storage: Any) -> None:
    """Refuse a file with a chunk too large for memory; rosbags loads one at a time."""
    sizes = [getattr(c, "uncompressed_size", 0) for c in getattr(storage, "chunks", [])]
    if max(sizes, default=0) > MAX_CHUNK_BYTES:
        raise UserError(
            f"{path} holds a chunk of {max(sizes) / 1e9:.1f} GB",
            why="a chunk is loaded into memory whole; recorders write a few megabytes each",
            cure=f"mcap compress {path} -o smaller.mcap  (writes chunks of 4 MB)",
        )


def _cure(path: Path) -> str:
    cures = {
        ".bag": f"rosbag reindex {path}  (with ROS 1), or copy the log from the robot again",
        ".mcap": f"mcap recover {path} -o recovered.mcap  (Foxglove's mcap tool)",
        ".db3": f"sqlite3 {path} .recover | sqlite3 recovered.db3",
    }
    return cures.get(path.suffix, f"ros2 bag reindex {path}, or give the .mcap or .db3 file in it")
