"""Small ROS 2 bags and cut files, written afresh for the tests of the readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MIXED = """\
std_msgs/Header header
bool on
int8 small
float64 wide
string label
uint16[] counts
float32[3] triple
string[] names
geometry_msgs/Point[] points
uint8 last
"""


def store() -> Any:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    found = get_typestore(Stores.ROS2_HUMBLE)
    found.register(get_types_from_msg(MIXED, "own_msgs/msg/Mixed"))
    return found


def header(types: Any, i: int, frame: str = "imu_link") -> Any:
    stamp = types["builtin_interfaces/msg/Time"](1_700_000_000 + i // 100, i % 100 * 10_000_000)
    return types["std_msgs/msg/Header"](stamp, frame)


def imu(types: Any, i: int, frame: str = "imu_link") -> Any:
    vector = types["geometry_msgs/msg/Vector3"]
    return types["sensor_msgs/msg/Imu"](
        header(types, i, frame),
        types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
        np.arange(9.0) + i,
        vector(0.1 * i, 0.2, -0.3),
        np.full(9, 0.01),
        vector(float(i), 0.0, 9.8),
        np.full(9, 0.02),
    )


def mixed(types: Any, i: int) -> Any:
    """Return a message whose strings and lists change their lengths, and so what lies behind."""
    point = types["geometry_msgs/msg/Point"]
    return types["own_msgs/msg/Mixed"](
        header(types, i, "abcdefgh"[: i % 5]),
        *(i % 2 == 0, -(i % 100), 0.5 * i, "label" * (i % 3)),
        np.arange(i % 4, dtype=np.uint16),
        np.array([i, i + 1, i + 2], np.float32),
        ["x" * (i % 2), "long name"],
        [point(float(i), 1.0, 2.0) for _ in range(i % 3)],
        i % 256,
    )


def write_bag(
    folder: Path, storage: str, *, count: int = 120, first: int = 0, squeezed: bool = False
) -> Path:
    """Write `/imu` and `/mixed` at 100 Hz into a bag; return the storage file in its folder."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    types = store()
    plugin = {"mcap": StoragePlugin.MCAP, "db3": StoragePlugin.SQLITE3}[storage]
    writer = Writer(folder, version=9, storage_plugin=plugin)
    if squeezed:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        makers = {"/imu": ("sensor_msgs/msg/Imu", imu), "/mixed": ("own_msgs/msg/Mixed", mixed)}
        outs = {
            n: writer.add_connection(n, kind, typestore=types) for n, (kind, _) in makers.items()
        }
        for i in range(first, first + count):
            for name, (kind, make) in makers.items():
                raw = types.serialize_cdr(make(types.types, i), kind)
                writer.write(outs[name], 1_700_000_000_500_000_000 + i * 10_000_000, raw)
    return next(folder.glob(f"*.{storage}"))
