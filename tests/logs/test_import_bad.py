"""Logs and maps that an import must refuse, in three lines that name the place and the cure."""

import numpy as np
import pytest
from helpers import TEST_DATA
from logmaking import EPOCH, fix, imu, odometry, readings, source_of

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.errors import DATA, MISSING, UserError
from kalmanrnn.logs import importer
from kalmanrnn.logs.binding.bound_log import bind_log
from kalmanrnn.logs.importer import import_log
from kalmanrnn.logs.readers.open_log import open_log
from kalmanrnn.scenarios.scenario import load_scenario

T = EPOCH + np.arange(0, 10, 0.01)
BOTH = "imu: {topic: /imu}\ngps: {topic: /fix}\n"


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """(source, map text or None) -> the error of importing it."""

    def run(source, text=None, code=DATA):
        log = tmp_path / "robot.log"
        log.touch()
        monkeypatch.setattr(importer, "open_log", lambda _: source)
        given = None
        if text is not None:
            given = tmp_path / "map.yaml"
            given.write_text(text)
        with pytest.raises(UserError) as caught:
            import_log(log, given)
        assert caught.value.code == code
        assert str(caught.value).count("\n") >= 2
        return caught.value

    return run


def good():
    still = np.zeros(100)
    return source_of(imu(T), fix(T[::20]), odometry(T[::10], still, still))


def test_two_topics_that_could_be_the_imu_bring_both_lines(refused, tmp_path, monkeypatch):
    log = source_of(imu(T, name="/imu/a"), imu(T, name="/imu/b"), fix(T[::20]))
    error = refused(log)
    assert error.what == "/imu/a and /imu/b could each be the imu"
    lines = error.cure.splitlines()[1:]
    assert "imu: {topic: /imu/a}" in lines
    assert "# imu: {topic: /imu/b}" in lines
    # What is to be saved is a map that works, its first choice as it stands.
    (tmp_path / "chosen.yaml").write_text("\n".join(lines))
    back = import_log(tmp_path / "robot.log", tmp_path / "chosen.yaml")
    assert [s.name for s in back.streams] == ["imu", "gps"]


def test_a_log_without_sensors_brings_a_map_to_fill_in(refused):
    log = source_of(readings("/chatter", "std_msgs/msg/String", T, {}))
    error = refused(log)
    assert "no topic has a known sensor type" in error.what
    assert "imu: {topic: /imu/data}" in error.cure


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        ("imu: {topic: /imo}", "has no topic '/imo'", "did you mean '/imu'?"),
        ("imu: {topics: /imu}", "map.yaml: imu: unknown key 'topics'", "did you mean 'topic'?"),
        ("imu: {file: imu.csv, gyro: [a, b, c], accel: [d, e, f]}", "names files", "`topic: ...`"),
        ("imu: {topic: /imu, gyro: [a, b, c]}", "'gyro' does not apply to a topic", "remove"),
        (
            "imu: {topic: /fix}",
            "/fix: sensor_msgs/msg/NavSatFix cannot be read as imu",
            "another topic",
        ),
        ("odometer: /odom", "unknown key 'odometer'", "did you mean 'odometry'?"),
        ("imu: {delay_s: 1}", "imu: 'file' is missing", "add `file: ...`"),
        ("clock: header", "it names no sensor", "add one of imu, gps"),
        (BOTH + "clock: stamp", "clock: unknown 'stamp'", "header"),
        (BOTH + "frame: nde", "frame: unknown 'nde'", "'ned'"),
        (BOTH + "window: {from_s: 1}", "window: unknown key 'from_s'", "start_s"),
        (BOTH + "window: {start_s: 100}", "/imu: none of its 1000 readings is left", "widen"),
        (BOTH + "first: {velocity: fast}", "first.velocity: got 'fast'", "change"),
        (BOTH + "max_delay_s: soon", "max_delay_s: got 'soon'", "change"),
        ("gps: {topic: /fix, lever_arm_m: [1, 2]}", "gps.lever_arm_m: got [1, 2]", "change"),
        ("gps: {topic: /fix, period_s: 0.3}", "do not fit an interval of 0.3 s", "period_s"),
        ("streams: {a: {topic: /imu, channels: {b: {}}}}", "streams.a.channels.b", "field"),
        (
            "streams: {a: {topic: /imu, channels: {b: {field: angular_velocity.w}}}}",
            "/imu: no field 'angular_velocity.w'",
            "did you mean 'angular_velocity.",
        ),
        ("streams: {a: {topic: /imu}}", "streams.a: 'channels' is missing", "channels"),
        (BOTH + "reference: {topic: /imu}", "no reference can be read", "under `reference`"),
        (BOTH + "reference: {topic: /imu, frame: neu}", "frame: unknown 'neu'", "'ned'"),
        ("imu: {topic: /imu}\nimu: {topic: /b}", "map.yaml line 2: duplicate key 'imu'", ""),
        ("imu: {topic: /imu, topic: /b}", "map.yaml line 1: duplicate key 'topic'", "one"),
        ("streams: {imu: {topic: /imu, channels: {a: {field: b}}}}", "streams: got 'imu'", ""),
        ("streams: {a: {topic: /imu, channels: {}}}", "streams.a.channels: got {}", "change"),
        ("imu: {topic: /imu, delay_s: 1e300}", "imu.delay_s: got '1e300'", "change"),
        ("gps: {topic: /fix, period_s: 1e300}", "do not fit an interval of 1e+300 s", "period_s"),
        ("gps: {topic: /fix, period_s: -0.2}", "do not fit an interval of -0.2 s", "period_s"),
        (
            "gps: {topic: /fix}\nreference: {topic: /odom, origin: [8, 470, 0]}",
            "reference.origin: [8.0, 470.0, 0.0] cannot be used",
            "`origin`",
        ),
        (
            "odometry: /odom\nstreams: {odometry: {topic: /odom, channels: {a: {field: b}}}}",
            "streams: got 'odometry'",
            "change",
        ),
        ("imu: 2024-13-45", "not valid YAML", "fix"),
        ("[imu]", "expected keys and values", "`key: value`"),
    ],
)
def test_a_wrong_map_is_refused(refused, text, what, cure):
    error = refused(good(), text)
    assert what in error.what
    assert cure in error.cure


def test_a_clock_that_is_set_back_is_named_with_its_cure(refused):
    """Where the times of recording are fine they are the cure, else a cut."""
    stamps = T.copy()
    stamps[700:] -= 5
    error = refused(source_of(imu(T, stamp_t=stamps), fix(T[::20])), BOTH + "clock: header")
    assert "/imu: time goes back by 4.990 s at reading 701, 6.990 s after" in error.what
    assert "clock: log" in error.cure
    error = refused(source_of(imu(stamps, stamp_t=stamps), fix(T[::20])), BOTH)
    assert error.cure == "cut there with `window: {end_s: 6.4}` in the map"


@pytest.mark.parametrize(("at", "window"), [(700, "end_s: 6.4"), (300, "start_s: 3.5")])
def test_the_cut_that_is_proposed_cures(refused, tmp_path, at, window):
    stamps = T.copy()
    stamps[at:] -= 5
    log = source_of(imu(stamps, stamp_t=stamps))
    error = refused(log, "imu: {topic: /imu}")
    assert window in error.cure
    (tmp_path / "map.yaml").write_text(f"imu: {{topic: /imu}}\nwindow: {{{window}}}")
    back = import_log(tmp_path / "robot.log", tmp_path / "map.yaml")
    # Half a second to the safe side, and a tenth for a short number.
    assert 639 <= len(back.stream("imu").t) <= 651


def test_sensors_that_share_no_time(refused, tmp_path):
    error = refused(good(), BOTH.replace("/fix", "/fix, delay_s: 100"))
    assert error.what.startswith("gps and imu do not overlap in time: gps ends at 1699999909.8")
    late = source_of(imu(T), odometry(T[-1] + 1 + T[:9] - EPOCH, 0 * T[:9], 0 * T[:9]))
    error = refused(late, "imu: {topic: /odom}")
    assert "cannot be read as imu" in error.what
    (tmp_path / "map.yaml").write_text("imu: {topic: /imu}\nodometry: {topic: /odom}")
    back = import_log(tmp_path / "robot.log", tmp_path / "map.yaml")
    assert any("imu and odometry do not overlap" in note for note in back.notes)


def test_swapped_latitude_and_longitude(refused):
    place = np.stack([np.full(50, -122.0), np.full(50, 37.0), np.full(50, 1.0)], axis=-1)
    error = refused(source_of(fix(T[::20], place)))
    assert error.what == "/fix: latitude -122, longitude 37 at fix 1"
    assert "swap" in error.cure


def test_a_receiver_that_never_had_a_fix(refused):
    error = refused(source_of(fix(T[::20], status=-1)))
    assert error.what == "/fix: none of its 50 messages has a fix"
    error = refused(source_of(fix(T[::20], np.zeros((50, 3)))))
    assert "all 50 fixes are at latitude 0, longitude 0" in error.what


def test_readings_that_are_never_finite(refused):
    error = refused(source_of(imu(T, np.full((len(T), 3), np.nan))), "imu: {topic: /imu}")
    assert error.what == "/imu, imu: no reading is left"


def test_an_imu_that_does_not_measure_turning(refused):
    topic = imu(T)
    topic.fields["angular_velocity_covariance"][:, 0] = -1
    error = refused(source_of(topic), "imu: {topic: /imu}")
    assert error.what == "/imu: its messages have no angular_velocity"


def test_all_late(refused):
    error = refused(source_of(imu(T, stamp_t=T - 3)), "imu: {topic: /imu}\nmax_delay_s: 1")
    assert error.what == "/imu: none of its 1000 readings is left"
    assert "max_delay_s" in error.cure


def test_two_odometries_are_left_out_and_said(tmp_path, monkeypatch):
    still = np.zeros(100)
    wheels = [odometry(T[::10], still, still, name=n) for n in ("/odom", "/filtered")]
    monkeypatch.setattr(importer, "open_log", lambda _: source_of(imu(T), *wheels))
    (tmp_path / "robot.log").touch()
    back = import_log(tmp_path / "robot.log")
    assert [s.name for s in back.streams] == ["imu"]
    assert "# odometry: one of /odom, /filtered" in back.map


def test_a_log_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no") as caught:
        import_log(tmp_path / "nothing.bag")
    assert caught.value.code == DATA


@pytest.fixture
def folder(tmp_path):
    """CSV files that guessing understands."""
    place = tmp_path / "log"
    place.mkdir()
    t = np.arange(0, 10, 0.01)
    rows = [f"{s:.2f},0,0,0,0,0,9.8" for s in t]
    (place / "imu.csv").write_text("\n".join(["t,wx,wy,wz,ax,ay,az", *rows]) + "\n")
    rows = [f"{s:.2f},{47 + 4.5e-5 * s:.9f},8,400" for s in np.arange(0, 10, 0.2)]
    (place / "gps.csv").write_text("\n".join(["t,lat,lon,alt", *rows]) + "\n")
    return place


def csv_refusal(folder, text=None):
    given = None
    if text is not None:
        given = folder.parent / "map.yaml"
        given.write_text(text)
    with pytest.raises(UserError) as caught:
        import_log(folder, given)
    assert caught.value.code == DATA
    return caught.value


CSV_MAP = """\
imu: {file: imu.csv, time: t, gyro: [wx, wy, wz], accel: [ax, ay, az]}
gps: {file: gps.csv, time: t, latitude: lat, longitude: lon, altitude: alt}
"""


def set_line(path, line, text):
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")


def test_the_folder_itself_is_good(folder):
    back = import_log(folder)
    assert [len(s.t) for s in back.streams] == [1000, 50]
    # 4.5e-5 degrees of latitude are 5.003 m at 47 degrees.
    np.testing.assert_allclose(back.streams[1].values[-1, :2], [0, 9.8 * 5.003], atol=0.01)


@pytest.mark.parametrize(
    ("file", "line", "text", "what"),
    [
        (
            "gps.csv",
            3,
            "0.20,47,oops,400",
            "gps.csv: column 'lon' is not numeric: 'oops' in line 3",
        ),
        ("imu.csv", 5, "0.03,0,0", "imu.csv line 5: 3 cells, but the header has 7"),
        ("gps.csv", 6, "0.80,147,8,400", "gps.csv: latitude 147, longitude 8 at fix 5"),
        ("gps.csv", 1, "t,latt,lon,alt", "gps.csv: no column 'lat'"),
        ("imu.csv", 1, "t,wx,wy,ax,ay,az,a", "imu.csv: no column 'wz'"),
    ],
)
def test_a_wrong_line_is_named(folder, file, line, text, what):
    set_line(folder / file, line, text)
    assert csv_refusal(folder, CSV_MAP).what == what


def test_missing_numbers_are_left_out_and_counted(folder):
    set_line(folder / "gps.csv", 3, "0.20,47,,400")
    set_line(folder / "imu.csv", 9, "0.07,nan,0,0,0,0,9.8")
    back = import_log(folder)
    assert [len(s.t) for s in back.streams] == [999, 49]
    for name in ("imu.csv, imu", "gps.csv, gps"):
        assert f"{name}: 1 readings that are not finite dropped" in back.notes


def test_a_missing_file_is_named(folder):
    (folder / "gps.csv").unlink()
    assert str(folder / "gps.csv") in csv_refusal(folder, CSV_MAP).what


def test_topics_named_for_csv_files(folder):
    assert "names topics (/imu)" in csv_refusal(folder, "imu: {topic: /imu}").what


def test_columns_that_say_nothing_bring_a_map_to_fill_in(folder):
    (folder / "gps.csv").unlink()
    set_line(folder / "imu.csv", 1, "t,a1,a2,a3,b1,b2,b3")
    error = csv_refusal(folder)
    assert "no column is named like an IMU's or a GPS's" in error.what
    assert "gyro: [gx, gy, gz]" in error.cure


def test_two_files_that_could_be_the_imu(folder):
    (folder / "other.csv").write_text((folder / "imu.csv").read_text())
    error = csv_refusal(folder)
    assert error.what == "imu.csv and other.csv could each be the imu"
    assert "imu: {file: other.csv, ...}" in error.cure


def test_a_file_without_a_clock(folder):
    set_line(folder / "imu.csv", 1, "number,wx,wy,wz,ax,ay,az")
    assert "imu.csv: no column is named as the time" in csv_refusal(folder).what
    text = CSV_MAP.replace("imu.csv, time: t", "imu.csv")
    assert csv_refusal(folder, text).what == "imu.csv: no time column"
    (folder.parent / "map.yaml").write_text(text.replace("imu.csv", "imu.csv, time: number"))
    assert len(import_log(folder, folder.parent / "map.yaml").streams[0].t) == 1000


def test_one_column_named_twice(folder):
    text = CSV_MAP.replace("[ax, ay, az]", "[ax, ay, ay]")
    assert csv_refusal(folder, text).what == "imu.csv: the map names a column twice"


def test_missing_pymap3d_names_the_extra(refused, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pymap3d", None)
    assert refused(good(), BOTH, code=MISSING).cure == "pip install 'kalmanrnn[logs]'"


@pytest.mark.parametrize(
    ("out", "words"),
    [("drive.csv", "the suffix must be .npz"), ("nowhere/drive.npz", "there is no folder")],
)
def test_the_command_refuses_where_it_cannot_write(tmp_path, folder, capsys, out, words):
    assert main(["import", str(folder), "--out", str(tmp_path / out), "--quiet"]) == 2
    assert words in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_a_refused_log_leaves_nothing(tmp_path, folder):
    set_line(folder / "gps.csv", 6, "0.80,147,8,400")
    assert main(["import", str(folder), "--out", str(tmp_path / "drive.npz"), "--quiet"]) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_an_empty_topic(refused, tmp_path, monkeypatch):
    source = source_of(imu(T[:0]), fix(T[::20]))
    error = refused(source, "imu: {topic: /imu}\ngps: {topic: /fix}")
    assert "the topic '/imu' has no messages" in error.what
    # Guessing leaves it out, and says so: once in the map, once in a note.
    monkeypatch.setattr(importer, "open_log", lambda _: source)
    recording = import_log(tmp_path / "robot.log")
    assert [s.name for s in recording.streams] == ["gps"]
    assert "# /imu could be the imu, but has no messages" in recording.map
    assert any("/imu could be the imu, but has no messages" in n for n in recording.notes)


def test_a_ulog_without_gps_is_imported_and_refused_by_what_needs_a_gps(tmp_path, monkeypatch):
    """Its IMU is worth having; a robot that starts at a fix is told what is missing."""
    log = TEST_DATA / "px4_ulog" / "sample_log_small.ulg"
    source = open_log(log)
    topics = tuple(t for t in source.topics if "gps" not in t.name)
    monkeypatch.setattr(importer, "open_log", lambda _: source._replace(topics=topics))
    recording = import_log(log)
    assert recording.stream("imu") is not None
    assert recording.stream("gps") is None
    with pytest.raises(UserError) as caught:
        bind_log(load_scenario("imu_gps"), recording)
    assert "too few readings for imu_gps" in caught.value.what
    assert "gps 0" in caught.value.why
