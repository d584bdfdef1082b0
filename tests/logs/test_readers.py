"""Every reader says what is in the file: nothing else, nothing less, and names its repairs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from bags import imu, mixed, store, write_bag
from helpers import TEST_DATA

from kalmanrnn.logs.readers import ros_wire as wire
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.logs.readers.readings import Readings, Source, no_progress
from kalmanrnn.logs.readers.ros_types import Encoding

HUSKY = TEST_DATA / "husky_bag" / "husky_60s.bag"
ULOG = TEST_DATA / "px4_ulog" / "sample_log_small.ulg"


def read_all(source: Source) -> dict[str, Readings]:
    names = [topic.name for topic in source.topics]
    return dict(zip(names, source.read(names, no_progress), strict=True))


def at(message, dotted: str):
    for part in dotted.split("."):
        message = getattr(message, part)
    return message


def assert_as_rosbags_says(path: Path) -> None:
    """Hold every number of every message equal to rosbags' own deserialisation."""
    from rosbags.highlevel import AnyReader

    read = read_all(open_log(path))
    seen = dict.fromkeys(read, 0)
    with AnyReader([path]) as reader:
        for connection, t, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            readings, i = read[connection.topic], seen[connection.topic]
            seen[connection.topic] += 1
            stamp = message.header.stamp
            assert readings.log_t[i] == pytest.approx(t / 1e9, abs=1e-6)
            assert readings.stamp_t is not None
            assert readings.stamp_t[i] == pytest.approx(stamp.sec + stamp.nanosec / 1e9, abs=1e-6)
            for name, values in readings.fields.items():
                np.testing.assert_array_equal(values[i], at(message, name), err_msg=name)
    assert seen == {name: r.topic.count for name, r in read.items()}
    assert all(len(r.log_t) == r.topic.count for r in read.values())


def test_ros1_bag_reads_as_rosbags_does():
    assert_as_rosbags_says(HUSKY)
    source = open_log(HUSKY)
    assert source.kind == "ros1"
    assert source.notes == ()
    fix, odom, imu = source.read(
        ["/fix", "/husky_velocity_controller/odom", "/imu/data"], no_progress
    )
    assert (fix.frame, odom.frame, imu.frame) == ("/gps", "odom", "imu_link")
    assert imu.topic.type == "sensor_msgs/msg/Imu"
    assert imu.fields["orientation_covariance"].shape == (1801, 9)
    assert {"latitude", "status.status", "position_covariance_type"} <= fix.fields.keys()
    assert odom.fields["pose.covariance"].shape == (600, 36)
    assert not [name for name in imu.fields if name.startswith("header")]
    # The IMU hangs on its side: gravity lies on y.
    assert imu.fields["linear_acceleration.y"].mean() == pytest.approx(9.8, abs=0.1)


@pytest.mark.parametrize(("storage", "squeezed"), [("mcap", False), ("mcap", True), ("db3", False)])
def test_ros2_bags_read_as_rosbags_does(tmp_path, storage, squeezed):
    file = write_bag(tmp_path / "bag", storage, squeezed=squeezed)
    for path in (file, file.parent):
        assert_as_rosbags_says(path)
        assert open_log(path).kind == {"mcap": "mcap", "db3": "ros2"}[storage]


def test_blocks_join_in_order(tmp_path, monkeypatch):
    file = write_bag(tmp_path / "bag", "mcap", count=300)
    whole = read_all(open_log(file))
    monkeypatch.setattr("kalmanrnn.logs.readers.rosbag.BLOCK", 7)
    told = []
    source = open_log(file)
    pieces = source.read(["/imu", "/mixed"], lambda done, total: told.append((done, total)))
    for a, b in zip(whole.values(), pieces, strict=True):
        np.testing.assert_array_equal(a.log_t, b.log_t)
        assert a.fields.keys() == b.fields.keys()
        assert all(np.array_equal(a.fields[k], b.fields[k]) for k in a.fields)
    assert told == sorted(told)
    assert told[-1] == (600, 600)
    assert len(told) > 40


def test_only_what_every_message_has_is_a_field():
    types = store()
    raws = [
        bytes(types.serialize_cdr(mixed(types.types, i), "own_msgs/msg/Mixed")) for i in range(60)
    ]
    encoding = Encoding(types, "own_msgs/msg/Mixed", cdr=True)
    fields = wire.decode(encoding, raws)
    assert {"on", "small", "wide", "triple", "last"} <= fields.keys()
    assert "counts" not in fields
    np.testing.assert_array_equal(fields["wide"], 0.5 * np.arange(60))
    np.testing.assert_array_equal(fields["last"], np.arange(60))
    # Messages with equal lists all have them.
    alike = wire.decode(encoding, raws[3::12])
    assert alike["counts"].shape == (5, 3)


def test_fast_way_is_taken_and_agrees_with_the_slow_one(monkeypatch):
    types = store()
    frames = ["imu", "imu_link"]
    raws = [
        bytes(types.serialize_cdr(imu(types.types, i, frames[i % 2]), "sensor_msgs/msg/Imu"))
        for i in range(200)
    ]
    encoding = Encoding(types, "sensor_msgs/msg/Imu", cdr=True)
    asked = []
    slow = wire._decode_one
    monkeypatch.setattr(wire, "_decode_one", lambda *a: asked.append(1) or slow(*a))
    fast = wire.decode(encoding, raws)
    assert len(asked) < 12
    monkeypatch.setattr(wire, "layout_of", lambda *a: None)
    one_by_one = wire.decode(encoding, raws)
    assert len(asked) > 200
    assert fast.keys() == one_by_one.keys()
    assert all(np.array_equal(fast[k], one_by_one[k]) for k in fast)


def test_a_wrong_layout_is_noticed(monkeypatch):
    types = store()
    raws = [
        bytes(types.serialize_cdr(imu(types.types, i), "sensor_msgs/msg/Imu")) for i in range(9)
    ]
    encoding = Encoding(types, "sensor_msgs/msg/Imu", cdr=True)
    right = wire.decode(encoding, raws)
    # A layout that takes x for y must not be believed.
    real = wire.layout_of(encoding, raws[0])
    assert real is not None
    names = list(real.numbers.names or ())
    x, y = names.index("linear_acceleration.x"), names.index("linear_acceleration.y")
    names[x], names[y] = names[y], names[x]
    offsets = [real.numbers.fields[n][1] for n in real.numbers.names or ()]
    formats = [real.numbers.fields[n][0] for n in real.numbers.names or ()]
    size = real.numbers.itemsize
    swapped = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
    monkeypatch.setattr(wire, "layout_of", lambda *a: real._replace(numbers=swapped))
    again = wire.decode(encoding, raws)
    np.testing.assert_array_equal(again["linear_acceleration.x"], right["linear_acceleration.x"])


def test_big_endian_messages_are_read(tmp_path):
    types = store()
    raw = bytes(
        types.serialize_cdr(imu(types.types, 7), "sensor_msgs/msg/Imu", little_endian=False)
    )
    encoding = Encoding(types, "sensor_msgs/msg/Imu", cdr=True)
    assert wire.decode(encoding, [raw])["linear_acceleration.x"] == [7.0]


def test_long_lists_are_no_fields(tmp_path):
    from rosbags.typesys import get_types_from_msg

    types = store()
    types.register(get_types_from_msg("float64[] ranges\nint32 n", "own_msgs/msg/Scan"))
    make = types.types["own_msgs/msg/Scan"]
    raws = [
        bytes(types.serialize_cdr(make(np.zeros(n), n), "own_msgs/msg/Scan")) for n in (300, 300)
    ]
    fields = wire.decode(Encoding(types, "own_msgs/msg/Scan", cdr=True), raws)
    assert fields.keys() == {"n"}


def test_bag_without_definitions_borrows_them_and_says_so(tmp_path):
    file = write_bag(tmp_path / "bag", "db3")
    whole = read_all(open_log(file))
    database = sqlite3.connect(file)
    database.execute("DELETE FROM message_definitions")
    database.commit()
    database.close()
    source = open_log(file)
    assert [t.name for t in source.topics] == ["/imu"]
    notes = " ".join(source.notes)
    assert "those of ROS 2 Humble are used" in notes
    assert "/mixed is skipped, of type own_msgs/msg/Mixed: the bag does not define it" in notes
    borrowed = read_all(source)["/imu"]
    for name, values in whole["/imu"].fields.items():
        np.testing.assert_array_equal(values, borrowed.fields[name])


def test_a_definition_nobody_can_read_costs_one_topic(tmp_path):
    file = write_bag(tmp_path / "bag", "db3")
    whole = read_all(open_log(file))["/imu"]
    database = sqlite3.connect(file)
    database.execute(
        "UPDATE message_definitions SET encoded_message_definition = 'not [a definition' "
        "WHERE topic_type = 'own_msgs/msg/Mixed'"
    )
    # rosbags' own one-stop reader refuses a bag whose hashes it computes differently.
    database.execute("UPDATE topics SET type_description_hash = 'RIHS01_0' WHERE name = '/imu'")
    database.commit()
    database.close()
    source = open_log(file)
    assert [t.name for t in source.topics] == ["/imu"]
    assert "/mixed is skipped, of type own_msgs/msg/Mixed: its definition cannot" in source.notes[0]
    again = read_all(source)["/imu"]
    assert all(np.array_equal(a, again.fields[name]) for name, a in whole.fields.items())


def test_definitions_in_idl_are_read(tmp_path):
    file = write_bag(tmp_path / "bag", "db3")
    point = "module own { module msg { struct P { double x; }; }; };"
    parts = "\n".join(["=" * 80, "IDL: own/msg/P", point])
    database = sqlite3.connect(file)
    database.execute(
        "UPDATE message_definitions SET encoding = 'ros2idl', encoded_message_definition = ?, "
        "topic_type = 'own/msg/P' WHERE topic_type = 'own_msgs/msg/Mixed'",
        [parts],
    )
    database.execute("UPDATE topics SET type = 'own/msg/P' WHERE name = '/mixed'")
    database.execute(
        "UPDATE messages SET data = ? WHERE topic_id IN "
        "(SELECT id FROM topics WHERE name = '/mixed')",
        [b"\0\1\0\0" + np.float64(2.5).tobytes()],
    )
    database.commit()
    database.close()
    read = read_all(open_log(file))["/mixed"]
    assert read.stamp_t is None
    np.testing.assert_array_equal(read.fields["x"], np.full(120, 2.5))


def test_bag_in_several_files_reads_as_one(tmp_path):
    parts = [write_bag(tmp_path / f"part{i}", "mcap", count=50, first=50 * i) for i in range(2)]
    whole = read_all(open_log(write_bag(tmp_path / "whole", "mcap", count=100)))
    parts[1].rename(parts[0].with_name("part1.mcap"))
    metadata = parts[0].with_name("metadata.yaml")
    said = metadata.read_text()
    assert "  - part0.mcap\n" in said
    metadata.write_text(said.replace("  - part0.mcap\n", "  - part0.mcap\n  - part1.mcap\n"))
    read = read_all(open_log(parts[0].parent))
    for name, readings in whole.items():
        np.testing.assert_array_equal(readings.log_t, read[name].log_t)
        assert all(np.array_equal(a, read[name].fields[k]) for k, a in readings.fields.items())
        assert read[name].topic.count == 100


def test_messages_beside_the_database_are_told(tmp_path):
    file = write_bag(tmp_path / "bag", "db3")
    assert open_log(file).notes == ()
    Path(f"{file}-wal").write_bytes(b"what a recorder that died has left")
    (note,) = open_log(file).notes
    assert note.startswith("bag.db3-wal holds messages that are not read: sqlite3 bag.db3 ")


def test_ulog_reads_as_pyulog_does():
    from pyulog.core import ULog

    source = open_log(ULOG)
    read = read_all(source)
    assert source.kind == "ulog"
    assert source.notes == ("the logger dropped messages 1 times, 0.030 s in total",)
    log = ULog(str(ULOG))
    assert len(log.data_list) == len(read)
    for data in log.data_list:
        readings = read[f"{data.name}.{data.multi_id}" if data.multi_id else data.name]
        assert readings.topic.type == f"px4/{data.name}"
        np.testing.assert_allclose(readings.log_t, data.data["timestamp"] * 1e-6, rtol=0, atol=1e-9)
        for name, values in readings.fields.items():
            np.testing.assert_array_equal(values, data.data[name])
        sampled = data.data.get("timestamp_sample")
        if sampled is None or not sampled.any():
            assert readings.stamp_t is None
        else:
            np.testing.assert_allclose(readings.stamp_t, np.where(sampled, sampled * 1e-6, np.nan))
    assert {"gyro_rad[0]", "accelerometer_m_s2[2]"} <= read["sensor_combined"].fields.keys()
    assert "sensor_accel.1" in read


def test_ulog_reading_keeps_stdout_clean(tmp_path, capsys):
    damaged = bytearray(ULOG.read_bytes())
    # A message of an unknown kind in the middle.
    damaged[500_000:500_020] = bytes(20)
    (tmp_path / "log.ulg").write_bytes(damaged)
    source = open_log(tmp_path / "log.ulg")
    assert "damaged in places" in " ".join(source.notes)
    assert capsys.readouterr().out == ""


def test_truncated_ulog_yields_what_is_there(tmp_path):
    (tmp_path / "log.ulg").write_bytes(ULOG.read_bytes()[:600_000])
    source = open_log(tmp_path / "log.ulg")
    whole, part = read_all(open_log(ULOG)), read_all(source)
    count = part["sensor_combined"].topic.count
    assert 100 < count < whole["sensor_combined"].topic.count
    np.testing.assert_array_equal(
        part["sensor_combined"].log_t, whole["sensor_combined"].log_t[:count]
    )
    assert "ends in the middle of a message" in " ".join(source.notes)


def csv_file(folder: Path, text: str | bytes, name: str = "imu.csv") -> Source:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_log(folder / name)


def test_csv_folder_reads_as_numpy_does():
    read = read_all(open_log(TEST_DATA / "comma2k19_drive"))
    assert list(read) == ["gps.csv", "imu.csv", "reference.csv"]
    for name, readings in read.items():
        known = np.genfromtxt(TEST_DATA / "comma2k19_drive" / name, delimiter=",", names=True)
        np.testing.assert_array_equal(readings.log_t, known["t_s"])
        assert tuple(readings.fields) == known.dtype.names
        for column, values in readings.fields.items():
            np.testing.assert_array_equal(values, known[column])
        assert readings.topic == (name, "csv", len(known))
        assert readings.stamp_t is None


PLAIN = "t,x,y\n0.5,1.25,-2\n0.75,1.5,4\n1.0,-1e3,6\n"
# Repairs: the same table in other clothes -> (bytes, what the notes must say).
CLOTHES = {
    "plain": (PLAIN.encode(), ""),
    "windows": (PLAIN.replace("\n", "\r\n").encode(), ""),
    "no last line end": (PLAIN.strip().encode(), ""),
    "empty lines": (("\n\n" + PLAIN.replace("\n", "\n\n")).encode(), ""),
    "utf-8 bom": (PLAIN.encode("utf-8-sig"), ""),
    "utf-16": (PLAIN.encode("utf-16"), "read as utf-16"),
    "semicolons": (PLAIN.replace(",", ";").encode(), "separated by semicolons"),
    "decimal comma": (
        PLAIN.replace(",", ";").replace(".", ",").encode(),
        "a comma is read as the decimal point (t, x)",
    ),
    "for excel": (("sep=;\n" + PLAIN.replace(",", ";")).encode(), "separated by semicolons"),
    "tabs": (PLAIN.replace(",", "\t").encode(), "separated by tabs"),
    "spaces": (PLAIN.replace(",", "   ").encode(), "separated by spaces"),
    "units": (PLAIN.replace("y\n", "y\ns,m/s^2,m\n").encode(), "line 2 is read as units"),
    "commented": (("# " + PLAIN).encode(), ""),
    "trailing": (PLAIN.replace("\n", ",\n").encode(), ""),
    "quoted": (PLAIN.replace("1.25", '"1.25"').encode(), ""),
}


@pytest.mark.parametrize("clothes", CLOTHES)
def test_csv_repairs(tmp_path, clothes):
    content, said = CLOTHES[clothes]
    source = csv_file(tmp_path, content)
    (readings,) = source.read(["imu.csv"], no_progress)
    np.testing.assert_array_equal(readings.log_t, [0.5, 0.75, 1.0])
    assert readings.fields.keys() == {"t", "x", "y"}
    np.testing.assert_array_equal(readings.fields["x"], [1.25, 1.5, -1000])
    np.testing.assert_array_equal(readings.fields["y"], [-2, 4, 6])
    assert said in " ".join(source.notes)
    assert bool(source.notes) == bool(said)


def test_csv_text_and_empty_cells(tmp_path):
    source = csv_file(tmp_path, "t,mode,x\n0,AUTO,1\n1,MANUAL,\n2,AUTO,n/a\n3,AUTO,4\n")
    (readings,) = source.read(["imu.csv"], no_progress)
    np.testing.assert_array_equal(readings.fields["x"], [1, np.nan, np.nan, 4])
    assert readings.fields.keys() == {"t", "x"}
    notes = " ".join(source.notes)
    assert "column mode is dropped: 'AUTO' in line 2 is not a number" in notes
    assert "empty cells are read as missing (x)" in notes


def test_csv_numbers_with_underscores_are_text(tmp_path):
    source = csv_file(tmp_path, "t,run\n0,1_2\n1,1_3\n")
    assert "column run is dropped: '1_2' in line 2" in " ".join(source.notes)


TIMES = {
    "t_us": (["1000000", "1010000", "1020000"], 1.0, "microseconds"),
    "time [ms]": (["1000", "1010.0", "1020"], 1.0, "milliseconds"),
    "timestamp": (
        ["1700000000000000000", "1700000000010000000", "1700000000020000000"],
        1.7e9,
        "nanoseconds by its size",
    ),
    "stamp": (
        ["1700000000000000", "1700000000010000", "1700000000020000"],
        1.7e9,
        "microseconds by its size",
    ),
    "time": (
        ["1700000000000", "1700000000010", "1700000000020"],
        1.7e9,
        "milliseconds by its size",
    ),
    "Time": (["1700000000.00", "1700000000.01", "1700000000.02"], 1.7e9, ""),
    "T": (["5000", "15000", "25000"], 0.005, "microseconds by its steps of 10000"),
    "field.stamp": (["1.00", "1.01", "1.02"], 1.0, ""),
    "times": (["00:12:34.50", "00:12:34.51", "00:12:34.52"], 754.5, "clock times"),
    "datetime": (
        ["2024-05-01 12:00:00.00", "2024-05-01T12:00:00.01", "2024-05-01T14:00:00.02+02:00"],
        1714564800.0,
        "dates are converted to seconds",
    ),
    "seconds": (
        ['"1,700,000,000.00"', '"1,700,000,000.01"', '"1,700,000,000.02"'],
        1.7e9,
        "thousands separators",
    ),
}


@pytest.mark.parametrize("column", TIMES)
def test_csv_times(tmp_path, column):
    cells, start, said = TIMES[column]
    rows = "\n".join(f"{i},{cell}" for i, cell in enumerate(cells))
    source = csv_file(tmp_path, f"x,{column}\n{rows}\n")
    (readings,) = source.read(["imu.csv"], no_progress)
    # Whole nanoseconds of 1.7e18 are exact to 256 ns in float64.
    np.testing.assert_allclose(readings.log_t, start + np.array([0, 0.01, 0.02]), rtol=0, atol=6e-7)
    assert said in " ".join(source.notes)


def test_csv_seconds_and_nanoseconds(tmp_path):
    source = csv_file(tmp_path, "h.sec,h.nanosec,x\n12,999999999,1\n13,500000000,2\n")
    (readings,) = source.read(["imu.csv"], no_progress)
    np.testing.assert_allclose(readings.log_t, [12.999999999, 13.5], rtol=1e-15)
    assert source.notes == ("imu.csv: time is h.sec plus h.nanosec",)


def test_csv_minutes_count_on_over_the_hour(tmp_path):
    source = csv_file(tmp_path, "t,x\n59:59.0,1\n59:59.5,2\n00:00.0,3\n00:00.5,4\n")
    (readings,) = source.read(["imu.csv"], no_progress)
    np.testing.assert_array_equal(readings.log_t, [3599, 3599.5, 3600, 3600.5])


def test_csv_without_time_counts_rows(tmp_path):
    source = csv_file(tmp_path, "x,y\n5,6\n7,8\n")
    (readings,) = source.read(["imu.csv"], no_progress)
    np.testing.assert_array_equal(readings.log_t, [0, 1])
    assert "times are row numbers" in source.notes[0]


def test_csv_without_header(tmp_path):
    source = csv_file(tmp_path, "1,2\n3,4\n")
    (readings,) = source.read(["imu.csv"], no_progress)
    np.testing.assert_array_equal(readings.fields["column_2"], [2, 4])
    assert "no header" in " ".join(source.notes)


def test_csv_last_line_cut_off(tmp_path):
    source = csv_file(tmp_path, "t,x,y\n0,1,2\n1,2,3\n2,3")
    (readings,) = source.read(["imu.csv"], no_progress)
    assert readings.topic.count == 2
    assert "line 4, the last, is incomplete" in source.notes[0]


def test_csv_blocks_join(tmp_path, monkeypatch):
    rows = "".join(f"{i / 8},{i}\n" for i in range(100))
    whole = read_all(csv_file(tmp_path, "t,x\n" + rows))["imu.csv"]
    monkeypatch.setattr("kalmanrnn.logs.readers.csv_folder.BLOCK", 7)
    parts = read_all(csv_file(tmp_path, "t,x\n" + rows))["imu.csv"]
    np.testing.assert_array_equal(whole.fields["x"], np.arange(100))
    np.testing.assert_array_equal(parts.fields["x"], np.arange(100))
    np.testing.assert_array_equal(parts.log_t, whole.log_t)


def test_log_alone_in_a_folder_is_taken(tmp_path):
    (tmp_path / "flight.ulg").write_bytes(ULOG.read_bytes())
    source = open_log(tmp_path)
    assert source.kind == "ulog"
    assert source.notes[0] == "flight.ulg is the log in the folder"
