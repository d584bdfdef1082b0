"""Laws of a report: nothing missing, nothing from outside, a loss said as plainly as a win."""

import csv
import json
import re

import numpy as np
import pytest

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.evaluation.comparison import compare
from kalmanrnn.evaluation.estimates import Estimates
from kalmanrnn.evaluation.metrics import Interval
from kalmanrnn.report.text import describe_change, interval, number, verdict
from kalmanrnn.report.training_curve import training
from kalmanrnn.report.write import write_report
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Gps
from kalmanrnn.training.run_directory import RunDirectory

B, E, X = 12, 60, 4
SPACE = StateSpace((Block("position", size=3, unit="m"), Block("heading", "angle", unit="deg")))
INFO = {
    "command": "kalmanrnn train --sim plane --note '<b>&</b>'",
    "versions": {"kalmanrnn": "0.1.0", "jax": "0.10.2"},
    "seed": 7,
    "config": {"student": "gain"},
    "notes": ["A note to the reader."],
    "resets": 2,
    "filterpy_difference": 3e-12,
    "seconds_total": 431.7,
    "history": [
        {"step": 0, "phase": "distil", "loss": 3.0},
        {"step": 10, "ratios": {"position": 1.3}},
        {"step": 20, "phase": "rollout", "loss": float("nan")},
        {},
    ],
    "outages": [
        {
            "start_s": 20.0,
            "seconds": 10.0,
            "rows": {"ukf": {"first_fix": 2.9, "end": 3.1, "largest": 3.3}},
        }
    ],
    "reference_note": "The reference is not independent.",
}
FILES = ["per_drive.csv", "report.html", "report.json", "report.md"]


def scenario(origin="position"):
    """A robot that nobody simulates: its estimates are made by hand."""
    return Scenario(
        name="plane",
        summary="a robot on a plane",
        space=SPACE,
        inputs=(Channel("speed", "m/s"),),
        sensors=(Gps(2.0, (1.0, 1.0, 1.0), measure=lambda x: x[:3], observes=origin),),
        tick_hz=10.0,
        process=lambda x, u, dt: x,
        process_noise=lambda x, u, dt: x,
        simulate_truth=lambda key, ticks: None,
        initial_std=(1.0,) * 4,
        origin=origin,
    )


def made(position, heading, *, origin="position", truth=True):
    """A comparison whose student errs that many times as much as its teacher."""
    rng = np.random.default_rng(0)
    t = np.tile(np.arange(E) / 2, (B, 1))
    way = np.cumsum(rng.normal(size=(B, E, X)), axis=1) * [5, 5, 1, 0.1]
    way[..., 3] = np.arctan2(np.sin(way[..., 3]), np.cos(way[..., 3]))
    error = rng.normal(size=(B, E, X)) * [0.5, 0.5, 0.5, 0.02]
    other = rng.normal(size=(B, E, X)) * [0.5, 0.5, 0.5, 0.02]
    scale = np.array([position] * 3 + [heading])
    packets = Packet(
        way[..., :3], np.ones((B, E, 1), bool), np.zeros((B, E, 5, 1)), np.ones((B, E, 5))
    )
    belief = Belief(way[:, 0], np.tile(np.eye(4), (B, 1, 1)))
    drives = Drive(t, packets, belief, way if truth else None)
    cov = np.broadcast_to(np.diag([0.25, 0.25, 0.25, 0.0004]), (B, E, 4, 4))
    held = np.concatenate([way[..., :3], np.full((B, E, 1), np.nan)], axis=-1)
    estimates = {
        "gps": Estimates(held, blocks=("position",)),
        "ukf": Estimates(way + error, cov, 12.0),
        "student": Estimates(way + scale * other, None, 1.5),
    }
    if not origin:
        del estimates["gps"]
    return compare(scenario(origin), drives, estimates, skip_s=5.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("report")
    write_report(place, made(1.3, 0.6), info=INFO)
    return place


def test_all_four_files_and_no_scraps(folder):
    assert sorted(p.name for p in folder.iterdir()) == FILES


def test_json_has_what_others_read(folder):
    found = json.loads((folder / "report.json").read_text())
    assert (found["scenario"], found["drives"], found["diverged"]) == ("plane", B, 0)
    assert found["seconds_total"] == 431.7
    for kind in ("accuracy_ratio", "imitation_ratio"):
        for group in ("position", "heading"):
            ratio = found[kind][group]
            assert ratio["low"] < ratio["value"] < ratio["high"]
    assert found["accuracy_ratio"]["position"]["value"] == pytest.approx(1.3, rel=0.1)
    assert found["rmse"]["position"]["ukf"] == pytest.approx(0.5 * 3**0.5, rel=0.1)
    assert set(found["rmse"]["heading"]) == {"ukf", "student"}
    assert found["units"] == {"position": "m", "heading": "deg"}
    assert found["seed"] == 7


def test_html_is_one_file_that_asks_for_nothing(folder):
    text = (folder / "report.html").read_text()
    assert not re.search(r"https?:|//[a-z]|<script|<link|@import|url\(", text)
    assert set(re.findall(r'src="([^,]*),', text)) == {"data:image/svg+xml;base64"}
    assert text.count("<img ") == 5


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_a_reader_finds_everything(folder, name):
    text = (folder / name).read_text()
    for words in (
        " % worse", " % better", "no drive diverged", "GPS alone (held)", "no covariance",
        "µs per tick", "20 s", "The reference is not independent.", "jax 0.10.2", "432 s",
        "A note to the reader.", "position [m]", "heading [deg]", "3.0e-12",
    ):  # fmt: skip
        assert words in text, words


def test_a_users_text_is_not_taken_for_html(folder):
    text = (folder / "report.html").read_text()
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in text


def test_csv_has_a_row_per_drive_and_estimator(folder):
    with (folder / "per_drive.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * B
    assert float(rows[1]["position_rmse [m]"]) == pytest.approx(0.87, abs=0.2)
    assert rows[0]["heading_rmse [deg]"] == ""


def test_verdict_states_losses_as_plainly_as_wins():
    text = verdict(made(1.3, 0.6))
    assert text.startswith("On 12 test drives of 30 s the student's position error is 1.3")
    assert "times the UKF's (95 % interval 1." in text
    position, heading, rest = text.split("; ")
    assert position.endswith("% worse")
    assert heading.startswith("heading 0.6")
    assert heading.endswith("% better")
    assert rest == "no drive diverged."
    assert "no clear difference" in verdict(made(1.0, 1.0))


def test_a_student_far_off_is_called_so():
    text = verdict(made(60.0, 1.0))
    assert re.search(r"position error is 6\d\.\d times .* 6\d times worse", text)
    # Beyond 20 teachers' RMSE at the last event: nearly every drive of a student at 60.
    assert int(re.search(r"(\d+) drives diverged", text)[1]) >= 10


def test_a_lost_student_still_gets_its_report(tmp_path):
    found = write_report(tmp_path, made(np.nan, 1.0), info={})
    assert "far worse: it diverged" in found["verdict"]
    assert found["diverged"] == B
    assert found["accuracy_ratio"]["position"]["value"] is None
    assert "not finite" in (tmp_path / "report.md").read_text()


def test_no_origin_and_no_truth_are_stated_and_drawn(tmp_path):
    write_report(tmp_path / "a", made(1.0, 1.0, origin=""), info={})
    assert "Single drives" in (tmp_path / "a" / "report.html").read_text()
    found = write_report(tmp_path / "b", made(1.0, 1.0, truth=False), info={})
    assert "no ground truth to compare with" in found["verdict"]
    assert found["accuracy_ratio"] == {}


def test_a_second_report_replaces_the_first_whole(tmp_path):
    write_report(tmp_path, made(1.3, 1.0), info={})
    write_report(tmp_path, made(0.7, 1.0), info={})
    assert "% better" in json.loads((tmp_path / "report.json").read_text())["verdict"]
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES


def test_numbers_have_sensible_digits():
    wanted = {1234.5: "1,234", 178.8: "179", 2.013: "2.01", 0.01167: "0.0117", 0.0: "0"}
    assert {x: number(x) for x in wanted} == wanted
    assert number(float("nan")) == "—"
    assert number(float("inf")) == "not finite"
    assert number(0.0000123) == "1.23e-05"


def test_ratios_are_put_into_words():
    assert describe_change(Interval(1.04, 1.02, 1.06)) == "4 % worse"
    assert describe_change(Interval(0.88, 0.8, 0.95)) == "12 % better"
    assert describe_change(Interval(1.04, 0.99, 1.06)) == "no clear difference"
    assert describe_change(Interval(38.0, 30.0, 50.0)) == "38 times worse"
    assert interval(Interval(1.0041, 1.001, 1.007)) == ("1.004", "1.001 to 1.007")
    assert interval(Interval(1.04, float("nan"), float("nan"))) == ("1.04", "no interval")


def test_the_history_of_a_version_0_1_run_is_drawn(tmp_path):
    old = [
        {"step": 0, "part": "distil", "loss": 3.0, "held_out_m": 2.0, "anchored": 0},
        {"step": 9, "part": "free", "loss": 1.0, "held_out_m": 1.5, "anchored": 1},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, old)))
    loss, error = training(RunDirectory(tmp_path).history()).axes
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [3.0, 1.0])
    np.testing.assert_array_equal(error.lines[0].get_ydata(), [2.0, 1.5])
    assert [t.get_text().strip() for t in loss.texts] == ["distil", "free"]
