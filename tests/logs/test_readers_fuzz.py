"""Damaged logs end in a result or a sentence: within seconds, in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bags import write_bag
from helpers import ROOT, TEST_DATA

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.recording.recording import Recording, Stream, save_recording

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")
COUNT = 500
PEAK_BYTES = 300 << 20


def bag(folder: Path) -> Path:
    """Cut two seconds of the Husky's bag, uncompressed: every byte means something."""
    from rosbags.highlevel import AnyReader
    from rosbags.rosbag1 import Writer

    path = folder / "husky.bag"
    with AnyReader([TEST_DATA / "husky_bag" / "husky_60s.bag"]) as reader, Writer(path) as writer:
        out = {
            c.id: writer.add_connection(c.topic, c.msgtype, msgdef=c.msgdef.data, md5sum=c.digest)
            for c in reader.connections
        }
        for connection, t, raw in reader.messages(stop=reader.start_time + 2_000_000_000):
            writer.write(out[connection.id], t, raw)
    return path


def ulog(folder: Path) -> Path:
    path = folder / "flight.ulg"
    whole = (TEST_DATA / "px4_ulog" / "sample_log_small.ulg").read_bytes()
    path.write_bytes(whole[:200_000])
    return path


def table(folder: Path) -> Path:
    path = folder / "imu.csv"
    lines = (TEST_DATA / "comma2k19_drive" / "imu.csv").read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:80]))
    return path


def drive(folder: Path) -> Path:
    t = np.arange(50) / 10
    stream = Stream("imu", t, np.ones((50, 3)), ("gyro_x", "gyro_y", "gyro_z"), ("rad/s",) * 3)
    path = folder / "drive.npz"
    save_recording(path, Recording(1.7e9, (stream,), stream._replace(name="reference")))
    return path


FILES = {
    "ros1": bag,
    "mcap": lambda folder: write_bag(folder / "bag", "mcap", count=10),
    "mcap zstd": lambda folder: write_bag(folder / "bag", "mcap", count=10, squeezed=True),
    "db3": lambda folder: write_bag(folder / "bag", "db3", count=10),
    "ulog": ulog,
    "csv": table,
    "drive": drive,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_mutations_end_in_a_result_or_a_sentence(tmp_path, kind):
    path = FILES[kind](tmp_path)
    told = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fuzz_worker.py"), path, str(COUNT), "0"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"},
    )
    assert told.returncode == 0, told.stderr[-2000:]
    result = json.loads(told.stdout.splitlines()[-1])
    assert not result["bad"], result["bad"][0]["why"]
    assert result.get("read", 0) + result.get("refused", 0) == COUNT
    # Some of both, or the mutations do not reach what they are for.
    assert result.get("refused", 0) > 10
    assert result.get("read", 0) > (10 if kind != "drive" else 0)
    assert result["peak_bytes"] < PEAK_BYTES


@pytest.mark.parametrize("ending", [".bag", ".mcap", ".db3", ".ulg", ".csv", ".txt", ".npz", ""])
def test_random_bytes_are_refused(tmp_path, ending):
    path = tmp_path / f"log{ending}"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    with pytest.raises(UserError) as caught:
        open_log(path)
    assert str(path.name) in caught.value.what
