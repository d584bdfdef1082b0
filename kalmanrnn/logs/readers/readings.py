"""What a log's topic says, as arrays, before any mapping: numpy only.

The common ground of the readers (rosbag, ulog, CSV) and of what looks at a log (import,
inspect, allan).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Topic(NamedTuple):
    """One topic of a log: its name, its type as the log names it, how many messages it has."""

    name: str
    type: str
    count: int


class Readings(NamedTuple):
    """All messages of one topic.

    log_t: `[n]` seconds at which each was recorded. stamp_t: `[n]` seconds in its header, or
    None for a type without one; both in the order of the file, as they were.
    fields: number fields by flat name (`angular_velocity.x`, `gyro_rad[0]`, a CSV's column)
    `[n]`, or `[n, k]` for arrays (`position_covariance`). frame: the first header's frame id.
    """

    topic: Topic
    log_t: np.ndarray
    stamp_t: np.ndarray | None
    fields: dict[str, np.ndarray]
    frame: str = ""


class Source(NamedTuple):
    """An opened log.

    kind: "ros1", "ros2", "mcap", "ulog", "csv". notes: stated repairs ("no type definitions in
    the bag: ...").
    read: names of topics -> their readings, in that order; `progress(done, total)` is called
    now and then with messages. Bounded memory: only the topics asked for, as arrays.
    """

    path: str
    kind: str
    topics: tuple[Topic, ...]
    read: Callable[[Sequence[str], Callable[[int, int], None]], list[Readings]]
    notes: tuple[str, ...] = ()


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""
