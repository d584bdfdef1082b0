"""A log's topics as arrays, before any mapping; numpy only.

What every reader (rosbag, ULog, CSV) returns, and import, inspect and allan start from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError


class Topic(NamedTuple):
    """One topic of a log: its name, its type as the log names it, how many messages it has."""

    name: str
    type: str
    count: int


class Readings(NamedTuple):
    """All messages of one topic.

    log_t: `[n]` seconds, when each was recorded. stamp_t: `[n]` seconds from its header, None
    for a type without one; both in file order, as logged.
    fields: number fields by flat name (`angular_velocity.x`, `gyro_rad[0]`, a CSV's column)
    `[n]`, or `[n, k]` for arrays (`position_covariance`). frame: the first header's frame id.
    dropped: columns of a CSV that are not numeric -> why.
    """

    topic: Topic
    log_t: np.ndarray
    stamp_t: np.ndarray | None
    fields: dict[str, np.ndarray]
    frame: str = ""
    dropped: dict[str, str] = {}  # noqa: RUF012


class Source(NamedTuple):
    """An opened log.

    kind: "ros1", "ros2", "mcap", "ulog", "csv". notes: repairs ("no type definitions in the
    bag: ...").
    read: names of topics -> their readings, in that order; calls `progress(done, total)` with
    counts of messages. Memory holds only the topics asked for, as arrays.
    """

    path: str
    kind: str
    topics: tuple[Topic, ...]
    read: Callable[[Sequence[str], Callable[[int, int], None]], list[Readings]]
    notes: tuple[str, ...] = ()


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@contextmanager
def guard(path: Path, cure: str, *, part: str = "") -> Iterator[None]:
    """Turn any exception raised inside into a UserError; wrap library calls, and only those.

    Libraries report damage as anything from struct.error to MemoryError, so all are caught.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as problem:
        lines = str(problem).strip().splitlines() or ["no details"]
        raise UserError(
            f"cannot read {f'{part} in ' if part else ''}{path}",
            why=f"{type(problem).__name__}: {lines[0][:160]}",
            cure=cure,
        ) from None
