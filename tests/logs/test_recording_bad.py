"""Logs and maps that are wrong: each is refused with the file, the line and the cure."""

import numpy as np
import pytest
from logmaking import read_log

from kalmanrnn.core.errors import DATA, UserError
from kalmanrnn.scenarios.scenario import load_scenario

MAP = """imu: {file: imu.csv, time: t, gyro: [wx, wy, wz], accel: [ax, ay, az]}
gps:
  file: gps.csv
  time: t
  latitude: lat
  longitude: lon
  altitude: alt
  speed: v
  course: cog
"""


@pytest.fixture
def folder(tmp_path):
    """A robot that drives north at 5 m/s for ten seconds."""
    t = np.arange(0, 10.001, 0.01)
    rows = [f"{s:.2f},0,0,0,0,0,9.8" for s in t]
    (tmp_path / "imu.csv").write_text("\n".join(["t,wx,wy,wz,ax,ay,az", *rows]) + "\n")
    rows = [f"{s:.2f},{47 + 4.5e-5 * s:.9f},8,400,5,0" for s in np.arange(0, 10, 0.2)]
    (tmp_path / "gps.csv").write_text("\n".join(["t,lat,lon,alt,v,cog", *rows]) + "\n")
    (tmp_path / "map.yaml").write_text(MAP)
    return tmp_path


def refusal(folder):
    with pytest.raises(UserError) as caught:
        read_log(load_scenario("imu_gps"), folder, folder / "map.yaml")
    assert caught.value.code == DATA
    return caught.value


def set_line(path, line, text):
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")


def test_the_log_itself_is_good(folder):
    drive = read_log(load_scenario("imu_gps"), folder, folder / "map.yaml").drive
    assert drive.t.shape == (1, 50)
    np.testing.assert_allclose(drive.belief.mean[0, 4:7], [0, 5, 0], atol=1e-9)
    text = MAP.replace("  speed: v\n  course: cog\n", "")
    (folder / "map.yaml").write_text(text)
    drive = read_log(load_scenario("imu_gps"), folder, folder / "map.yaml").drive
    # 4.5e-5 degrees of latitude are 5.003 m at 47 degrees.
    np.testing.assert_allclose(drive.belief.mean[0, 4:7], [0, 5.003, 0], atol=2e-3)


@pytest.mark.parametrize(
    ("file", "line", "text", "words"),
    [
        (
            "gps.csv",
            3,
            "0.20,47,oops,400,5,0",
            "gps.csv: column 'lon' is not numeric: 'oops' in line 3",
        ),
        ("imu.csv", 5, "0.03,0,0", "imu.csv line 5: 3 cells, but the header has 7"),
        ("gps.csv", 6, "0.80,147,8,400,5,0", "gps.csv: latitude 147"),
    ],
)
def test_a_wrong_line_is_named(folder, file, line, text, words):
    set_line(folder / file, line, text)
    assert words in refusal(folder).what


@pytest.mark.parametrize(
    ("file", "line", "text", "note"),
    [
        ("imu.csv", 7, "0.05,0,nan,0,0,0,9.8", "imu.csv, imu: 1 readings that are not finite"),
        ("gps.csv", 3, "0.20,47,,400,5,0", "gps.csv, gps: 1 readings that are not finite"),
        ("imu.csv", 9, "0.055,0,0,0,0,0,9.8", "imu.csv, imu: 1 readings out of order"),
        ("gps.csv", 4, "0.20,47,8,400,5,0", "gps.csv, gps: 1 readings at a repeated time"),
    ],
)
def test_a_line_that_can_be_done_without_is_said(folder, file, line, text, note):
    set_line(folder / file, line, text)
    log = read_log(load_scenario("imu_gps"), folder, folder / "map.yaml")
    assert any(said.startswith(note) for said in log.notes)


def test_a_missing_file_is_named(folder):
    (folder / "imu.csv").unlink()
    error = refusal(folder)
    assert str(folder / "imu.csv") in error.what


@pytest.mark.parametrize("text", ["", "\n\n", "t,wx,wy,wz,ax,ay,az\n"])
def test_an_empty_file_is_called_empty(folder, text):
    (folder / "imu.csv").write_text(text)
    error = refusal(folder)
    assert error.what.startswith("imu.csv")
    assert "empty" in error.what or "no rows" in error.why


def test_a_missing_column_brings_the_nearest(folder):
    set_line(folder / "gps.csv", 1, "t,latt,lon,alt,v,cog")
    error = refusal(folder)
    assert error.what == "gps.csv: no column 'lat'"
    assert error.cure == "did you mean 'latt'?"


def test_clocks_that_do_not_overlap(folder):
    text = (folder / "map.yaml").read_text() + "  delay_s: 1000\n"
    (folder / "map.yaml").write_text(text)
    error = refusal(folder)
    assert "gps and imu do not overlap in time" in error.what


def test_too_few_fixes(folder):
    lines = (folder / "gps.csv").read_text().splitlines()[:8]
    (folder / "gps.csv").write_text("\n".join(lines) + "\n")
    assert "too few readings for imu_gps: 7 events" in refusal(folder).what


def test_a_robot_too_slow_for_a_course_is_not_given_one(folder):
    text = (folder / "gps.csv").read_text().replace(",5,0\n", ",0.3,0\n")
    (folder / "gps.csv").write_text(text)
    log = read_log(load_scenario("imu_gps"), folder, folder / "map.yaml")
    assert not any("heading from the GPS's course" in note for note in log.notes)


def test_an_accelerometer_in_g_called_si(folder):
    text = (folder / "imu.csv").read_text().replace(",9.8\n", ",1.0\n")
    (folder / "imu.csv").write_text(text)
    error = refusal(folder)
    assert "the accelerometer reads 1.00 m/s^2" in error.what
    assert "accel_unit" in error.cure


@pytest.mark.parametrize(
    ("old", "new", "words", "cure"),
    [
        ("imu: {", "imu: [{", "map.yaml line 2: not valid YAML", ""),
        ("latitude", "latitud", "map.yaml: gps: unknown key 'latitud'", "'latitude'"),
        ("gps:", "gsp:", "map.yaml: unknown key 'gsp'", "'gps'"),
        ("  longitude: lon\n", "", "map.yaml: gps: 'longitude' is missing", "longitude"),
        ("  course: cog\n", "", "map.yaml: gps: got 'only one of speed and course'", ""),
        ("az]", "az], axes: forward-left-down", "unknown 'forward-left-down'", "forward-"),
        ("az]", "az], axes: [[1, 0, 0], [0, 1, 0], [0, 0, -1]]", "imu.axes: got", ""),
        ("az]", "az], gyro_unit: deg", "imu.gyro_unit: unknown 'deg'", "'deg/s'"),
        ("az]", "az], accel_unit: mg", "imu.accel_unit: unknown 'mg'", "'g'"),
        (", az]", "]", "imu.accel: got ['ax', 'ay']", ""),
        ("az]", "ay]", "imu.csv: the map names a column twice", ""),
        ("  time: t\n", "  time: 3\n", "gps.time: got 3", ""),
        ("cog", "cog\n  delay_s: soon", "gps.delay_s: got 'soon'", ""),
        ("cog", "cog\n  period_s: 0.3", "do not fit an interval of 0.3 s", "period_s"),
    ],
)
def test_a_wrong_map_is_refused(folder, old, new, words, cure):
    (folder / "map.yaml").write_text(MAP.replace(old, new, 1))
    error = refusal(folder)
    assert words in error.what
    assert cure in error.cure


def test_a_missing_map_is_named(folder):
    (folder / "map.yaml").unlink()
    assert "map.yaml" in refusal(folder).what
