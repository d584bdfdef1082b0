"""Logs that cannot be read: each says what, why and a cure, and nothing breaks."""

from __future__ import annotations

import builtins
import os
from pathlib import Path

import pytest
from bags import write_bag
from helpers import TEST_DATA

from kalmanrnn.core import extras
from kalmanrnn.core.errors import DATA as DATA_CODE
from kalmanrnn.core.errors import MISSING, UserError
from kalmanrnn.logs.readers import rosbag
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.readers.readings import no_progress

HUSKY = TEST_DATA / "husky_bag" / "husky_60s.bag"
ULOG = TEST_DATA / "px4_ulog" / "sample_log_small.ulg"


def read_all(path: Path) -> None:
    source = open_log(path)
    source.read([topic.name for topic in source.topics], no_progress)


def refused(path: Path, *, what: str = "", why: str = "", cure: str = "") -> UserError:
    """Open and read everything; return the UserError that this must end in, its lines checked."""
    with pytest.raises(UserError) as caught:
        read_all(path)
    problem = caught.value
    lines = str(problem).splitlines()
    assert [line[:7] for line in lines] == ["error: ", "why:   ", "try:   "]
    assert all(len(line) > 12 for line in lines)
    assert what in problem.what
    assert why in problem.why
    assert cure in problem.cure
    return problem


def test_nothing_there(tmp_path):
    problem = refused(tmp_path / "none.bag", what="none.bag", why="No such file")
    assert problem.code == DATA_CODE


@pytest.mark.parametrize("ending", [".bag", ".mcap", ".db3", ".ulg", ".csv", ".log"])
def test_empty_file(tmp_path, ending):
    path = tmp_path / f"log{ending}"
    path.touch()
    refused(path, what="is empty", why="no bytes")


def test_folder_without_a_log(tmp_path):
    refused(tmp_path, what="holds no log", why="a PX4 .ulg")
    (tmp_path / "notes.md").write_text("nothing")
    refused(tmp_path, what="holds no log", why="a .csv file or a folder of them")


def test_folder_with_two_logs(tmp_path):
    for name in ("a.ulg", "b.ulg"):
        (tmp_path / name).write_bytes(ULOG.read_bytes()[:1000])
    refused(tmp_path, what="holds 2 logs", why="a.ulg, b.ulg", cure="a.ulg")


def test_unknown_ending(tmp_path):
    (tmp_path / "log.xyz").write_text("something")
    refused(tmp_path / "log.xyz", what="unknown kind", why="a ROS 1 .bag, a ROS 2 bag")


def test_drive_file_is_no_log(tmp_path):
    (tmp_path / "drive.npz").write_bytes(b"PK\3\4 and so on")
    refused(tmp_path / "drive.npz", what="is not a log", why="import")


def test_log_under_another_name(tmp_path):
    (tmp_path / "log.txt").write_bytes(HUSKY.read_bytes())
    refused(tmp_path / "log.txt", what=".bag file with another suffix", cure="log.bag")


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text("t,x\n0,1\n")

    def closed(*_: object, **__: object):
        raise PermissionError(13, "Permission denied")

    # Root may read everything, so the refusal is played.
    monkeypatch.setattr(Path, "open", closed)
    refused(path, what="log.csv", why="Permission denied", cure="ls -l")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["log.bag", "log.mcap", "log.ulg", "log.csv"])
def test_permission_denied_by_the_system(tmp_path, name):
    path = tmp_path / name
    path.write_text("anything")
    path.chmod(0)
    refused(path, why="Permission denied")


def test_missing_package(monkeypatch):
    def absent(name: str):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extras, "import_module", absent)
    for path in (HUSKY, ULOG):
        problem = refused(path, why="is not installed", cure="pip install 'kalmanrnn[logs]'")
        assert problem.code == MISSING


def test_csv_needs_no_package(tmp_path, monkeypatch):
    real = builtins.__import__

    def barred(name: str, *args, **kwargs):
        if name.split(".")[0] in ("rosbags", "pyulog", "pymap3d"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", barred)
    (tmp_path / "imu.csv").write_text("t,x\n0,1\n1,2\n")
    assert open_log(tmp_path).topics[0].count == 2


def test_truncated_ros1_bag(tmp_path):
    path = tmp_path / "cut.bag"
    path.write_bytes(HUSKY.read_bytes()[:150_000])
    refused(path, what="cut.bag", why="index", cure="rosbag reindex")


def test_unindexed_ros1_bag(tmp_path):
    path = tmp_path / "log.bag"
    data = bytearray(HUSKY.read_bytes())
    # The bag's header says where its index is; 0 is what a recorder that died leaves there.
    place = data.index(b"index_pos=") + len(b"index_pos=")
    data[place : place + 8] = bytes(8)
    path.write_bytes(data)
    refused(path, why="not indexed", cure="rosbag reindex")


def test_truncated_mcap(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap")
    path.write_bytes(path.read_bytes()[:-1000])
    refused(path, what=path.name, cure="mcap recover")
    refused(path.parent, what="bag", cure=".mcap or .db3 file in")


def test_mcap_of_another_world(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap")
    path.write_bytes(path.read_bytes().replace(b"\4\0\0\0ros2", b"\4\0\0\0ros9", 1))
    refused(path, what="holds no ROS 2 messages", why="protobuf", cure="ros2 bag record")


def test_damage_that_shows_while_reading(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap", squeezed=True)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    source = open_log(path)
    with pytest.raises(UserError, match="cannot read") as caught:
        source.read(["/imu"], no_progress)
    assert "mcap recover" in caught.value.cure


def test_truncated_sqlite(tmp_path):
    path = write_bag(tmp_path / "bag", "db3")
    path.write_bytes(path.read_bytes()[:20_000])
    refused(path, what=path.name, cure=".recover")


def test_bag_folder_without_its_file(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap")
    path.unlink()
    refused(path.parent, why="missing", cure="ros2 bag reindex")


def test_bag_folder_with_broken_metadata(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap")
    (path.parent / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    refused(path.parent, what="bag", cure=".mcap or .db3 file in")


def test_one_great_chunk(tmp_path, monkeypatch):
    path = write_bag(tmp_path / "bag", "mcap")
    monkeypatch.setattr(rosbag, "MAX_CHUNK_BYTES", 1000)
    refused(path, what="holds a chunk", why="memory", cure="mcap compress")


def test_line_without_end(tmp_path):
    path = tmp_path / "imu.csv"
    path.write_text("1," * 2_000_000)
    refused(path, what="is not a table", why="never ends")


def test_topic_that_is_not_there():
    source = open_log(HUSKY)
    with pytest.raises(UserError, match="has no topic /imu") as caught:
        source.read(["/imu"], no_progress)
    assert "/imu/data" in caught.value.why


def test_ulog_cut_in_its_header(tmp_path):
    path = tmp_path / "log.ulg"
    for size in (9, 15, 3000):
        path.write_bytes(ULOG.read_bytes()[:size])
        refused(path, what="log.ulg", cure="again")


def test_ulog_that_sends_its_reader_in_circles(tmp_path):
    # A definition longer than the file, of an unknown kind: pyulog alone never ends.
    path = tmp_path / "log.ulg"
    filling, trap = b"\xe8\x03Z" + bytes(1000), b"\xf4\x01\x00" + bytes(100)
    path.write_bytes(ULOG.read_bytes()[:16] + filling + trap)
    refused(path, what="log.ulg", why="damaged near byte")


TABLES = {
    "ragged": ("t,x\n0,1\n1,2,3\n2,3\n", "imu.csv line 3: 3 cells, but the header has 2", "line 3"),
    "short": ("t,x\n0,1\n1\n2,3\n", "imu.csv line 3: 1 cells, but the header has 2", "line 3"),
    "header alone": ("t,x\n", "no numeric column", "recorded"),
    "blank": ("\n \n\n", "is empty", "recorded"),
    "prose": ("Dear reader\nthis is not a table at all\n", "imu.csv", ""),
    "scientific": (
        "time,x\n" + "1.7E+09,1\n" * 20,
        "column 'time' has lost its decimals, 20 rows share 1 times",
        "number with 6 decimals",
    ),
    "tenths": (
        "time,x\n" + "".join(f"12:34.{i // 10},1\n" for i in range(50)),
        "column 'time' has lost its decimals, 50 rows share 5 times",
        "number with 6 decimals",
    ),
    "strange date": ("time,x\n5 May 2024,1\n6 May 2024,2\n", "'5 May 2024'", "seconds"),
    "no time": ("t,x\n0,1\n,2\n2,3\n", "1 rows have no time, the first is data row 2", "rows"),
    "mixed clocks": ("time,x\n12:00:01,1\n5,2\n", "'5' in line 3", "seconds"),
    "zero bytes": ("t,x\n0,1\n\0\0\0", "is not a text", "CSV"),
}


@pytest.mark.parametrize("name", TABLES)
def test_bad_tables(tmp_path, name):
    text, what, cure = TABLES[name]
    path = tmp_path / "imu.csv"
    path.write_text(text)
    refused(path, what=what, cure=cure)


def test_bad_table_in_a_folder_is_refused_when_asked_for(tmp_path):
    (tmp_path / "good.csv").write_text("t,x\n0,1\n1,2\n")
    (tmp_path / "bad.csv").write_text("t,x\n0,1\n1,2,3\n2,3\n")
    source = open_log(tmp_path)
    assert [(t.name, t.count) for t in source.topics] == [("bad.csv", 0), ("good.csv", 2)]
    assert "bad.csv cannot be read: bad.csv line 3" in source.notes[0]
    assert source.read(["good.csv"], no_progress)[0].topic.count == 2
    with pytest.raises(UserError, match=r"bad\.csv line 3"):
        source.read(["good.csv", "bad.csv"], no_progress)
