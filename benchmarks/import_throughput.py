"""Ask how many Imu messages per second an MCAP yields, and what memory a large file takes."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.readers.readings import no_progress

QUESTION = "sensor_msgs/Imu messages per second from MCAP, and peak memory among large clouds"
CLOUD_BYTES = 1 << 20


def write(folder: Path, *, imus: int, cloud_bytes: int) -> Path:
    """Write a bag of Imu messages at 200 Hz, clouds of 1 MB spread evenly among them."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    clouds = cloud_bytes // CLOUD_BYTES
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        imu_out, cloud_out = (
            writer.add_connection(topic, f"sensor_msgs/msg/{kind}", typestore=store)
            for topic, kind in (("/imu", "Imu"), ("/points", "PointCloud2"))
        )
        messages = [imu(store, i) for i in range(256)]
        raw_cloud = cloud(store)
        for i in range(imus):
            writer.write(imu_out, 5_000_000 * i, messages[i % 256])
            if clouds and i % max(imus // clouds, 1) == 0:
                writer.write(cloud_out, 5_000_000 * i, raw_cloud)
    return next(folder.glob("*.mcap"))


def imu(store, i: int) -> bytes:
    """Return one Imu message as CDR."""
    t = store.types
    vector, header = t["geometry_msgs/msg/Vector3"], t["std_msgs/msg/Header"]
    message = t["sensor_msgs/msg/Imu"](
        header(t["builtin_interfaces/msg/Time"](1_700_000_000, 5_000_000 * (i % 200)), "imu_link"),
        t["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
        np.zeros(9),
        vector(0.1 * i, 0.2, 0.3),
        np.full(9, 0.01),
        vector(0.0, 0.0, 9.8 + i),
        np.full(9, 0.02),
    )
    return bytes(store.serialize_cdr(message, "sensor_msgs/msg/Imu"))


def cloud(store) -> bytes:
    """Return a PointCloud2 message of one megabyte."""
    t = store.types
    message = t["sensor_msgs/msg/PointCloud2"](
        t["std_msgs/msg/Header"](t["builtin_interfaces/msg/Time"](0, 0), "lidar"),
        *(1, CLOUD_BYTES // 16, [], False, 16, CLOUD_BYTES),
        np.random.default_rng(0).integers(0, 255, CLOUD_BYTES, np.uint8),
        True,
    )
    return bytes(store.serialize_cdr(message, "sensor_msgs/msg/PointCloud2"))


def read(path: Path) -> int:
    """Return how many Imu messages were read."""
    return open_log(path).read(["/imu"], no_progress)[0].topic.count


def in_own_process(path: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory [GiB] of reading one file, starting afresh."""
    told = subprocess.run(
        [sys.executable, __file__, "--read", str(path)], check=True, capture_output=True, text=True
    )
    seconds, gib = map(float, told.stdout.split())
    return seconds, gib


def own_flags() -> argparse.Namespace:
    """Take the flags of this benchmark from the command line; the shared ones stay there."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the large file")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    own, sys.argv[1:] = parser.parse_known_args()
    return own


def main() -> None:
    own = own_flags()
    if own.read:
        begin = time.perf_counter()
        read(own.read)
        print(time.perf_counter() - begin, common.peak_gib())
        return
    flags = common.arguments(QUESTION)
    count, gb = (40_000, min(own.gb, 0.2)) if flags.quick else (400_000, own.gb)
    with tempfile.TemporaryDirectory() as place:
        alone = write(Path(place, "alone"), imus=count, cloud_bytes=0)
        rate = common.rates(lambda: read(alone), count=count, repeats=flags.repeats)
        print(f"Imu alone, {count:,} messages: {rate} messages/s", flush=True)
        large = write(Path(place, "large"), imus=count, cloud_bytes=int(gb * 1e9))
        size = large.stat().st_size / 1e9
        seconds, gib = in_own_process(large)
    print(f"among clouds, {size:.2f} GB: {seconds:.1f} s, {size / seconds:.2f} GB/s")
    print(f"peak memory of the process that reads it {gib:.2f} GiB")
    taken_from = {"messages_per_s": rate._asdict(), "messages": count}
    taken_from |= {"gb": size, "seconds": seconds, "peak_gib": gib}
    common.finish(flags, QUESTION, None, taken_from)


if __name__ == "__main__":
    main()
