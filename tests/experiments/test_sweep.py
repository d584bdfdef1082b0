import json
import math
from pathlib import Path

import numpy as np
import pytest

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.config import NetworkConfig, RunConfig, TaskConfig
from kalmanrnn.core.errors import DATA, DIVERGED, INTERRUPTED, OK, USAGE, UserError
from kalmanrnn.experiments.sweep.figure import draw
from kalmanrnn.experiments.sweep.folder import Sweep, create_sweep, open_sweep
from kalmanrnn.experiments.sweep.grid import (
    apply_setting,
    grid_settings,
    read_grid,
    run_name,
    setting_flags,
    sweep_axis,
)
from kalmanrnn.experiments.sweep.report import write_sweep_report
from kalmanrnn.experiments.sweep.results import RunResult
from kalmanrnn.experiments.sweep.tables import tables
from kalmanrnn.experiments.sweep.text import SweepResult, ranking, subject, verdict
from kalmanrnn.experiments.sweep.trend import Curve, judge_trend, make_curves

# Two LSTMs that take a second each: what is tested is the sweep, not what they learn.
SINE = ("--layers", "1", "--updates", "30", "--warmup", "5", "--test", "20")
SINE = (*SINE, "--validation", "16", "--num-validations", "2")
LINEAR = (
    *("--head", "8", "--layers", "1", "--drives", "8", "--seconds", "12", "--validation", "4"),
    *("--test", "4", "--skip-s", "2", "--distil-steps", "40", "--rollout-steps", "0"),
    *(
        "--distil-batch",
        "8",
        "--distil-window",
        "20",
        "--check-segments",
        "1",
        "--num-validations",
        "2",
    ),
)


def sweep(*args):
    return main(["sweep", *(str(a) for a in args), *(() if "--" in args else ("--",))])


def three_lines(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[0] for line in lines[-3:]] == ["error", "why", "try"], lines
    return "\n".join(lines[-3:])


def test_a_grid_is_read_by_the_types_of_the_settings():
    texts = ("hidden=8,16", "student=gain,delta", "rollout-learning-rate=1e-3", "seed=0,1")
    grid = read_grid(texts, RunConfig("rover"))
    assert grid == {
        "hidden": (8, 16), "student": ("gain", "delta"),
        "rollout_learning_rate": (1e-3,), "seed": (0, 1),
    }  # fmt: skip
    assert read_grid(("stateful=true,false",), TaskConfig("sine")) == {"stateful": (True, False)}


def test_each_point_is_the_run_that_its_flags_ask_for():
    grid = read_grid(("hidden=8,16", "seed=0,1"), RunConfig("rover"))
    laid = grid_settings(grid)
    assert [tuple(p.values()) for p in laid] == [(8, 0), (16, 0), (8, 1), (16, 1)]
    assert run_name(laid[2]) == "hidden=8,seed=1"
    assert setting_flags(laid[2]) == ["--hidden", "8", "--seed", "1"]
    made = apply_setting(RunConfig("rover"), laid[2])
    assert (made.student.hidden, made.train.seed, made.data) == (8, 1, RunConfig("rover").data)
    task = apply_setting(
        TaskConfig("sine", network=NetworkConfig(layers=3)), {"hidden": 5, "stateful": True}
    )
    assert (task.network, task.budget.stateful) == (NetworkConfig(hidden=5, layers=3), True)
    assert setting_flags({"stateful": False, "zero_init_output": True}) == [
        "--no-stateful",
        "--zero-init-output",
    ]


def test_error_is_drawn_against_the_first_axis_of_several_numbers():
    assert sweep_axis({"seed": (0, 1), "cell": ("gru", "lstm"), "layers": (1, 2)}) == "layers"
    assert sweep_axis({"layers": (1,), "hidden": (4, 8), "head": (1, 2)}) == "hidden"
    assert sweep_axis({"student": ("gain", "delta"), "seed": (0, 1)}) == "hidden"


def curve(*values):
    x = tuple(8.0 * 2**i for i in range(len(values)))
    return Curve("position", "", x, tuple(tuple(v) for v in values))


def test_a_rise_is_called_a_rise():
    found = judge_trend(curve((1.20, 1.22), (1.05, 1.06), (1.15, 1.14)))
    assert (found.direction, found.better, found.worse) == ("rises", 1, 2)
    # Nobody knows the spread of one seed: a rise must be larger then.
    assert judge_trend(curve((1.0,), (1.08,))).direction == "rises"
    assert judge_trend(curve((1.0,), (1.03,))).direction == "flat"
    # A loss that rises tenfold from next to nothing is a rise, whatever it was before.
    assert judge_trend(curve((0.8, 0.9), (0.001, 0.0012), (0.01, 0.012))).direction == "rises"


def test_flat_is_called_flat_and_a_fall_a_fall():
    # By 2 %, where seeds differ by 5 %.
    assert judge_trend(curve((1.00, 1.05, 0.95), (1.02, 1.07, 0.97))).direction == "flat"
    # By less than 1 %, however alike the seeds are.
    assert judge_trend(curve((1.000, 1.0001), (1.005, 1.0051))).direction == "flat"
    found = judge_trend(curve((1.3, 1.31), (1.1, 1.11), (1.1, 1.12)))
    assert (found.direction, found.better) == ("falls", 1)
    assert judge_trend(curve((1.0, 1.1))).direction == "unknown"


def test_noise_alone_is_called_a_rise_in_one_sweep_of_twenty():
    rng = np.random.default_rng(0)
    made = rng.lognormal(0.0, 0.05, (200, 5, 3))
    called = [judge_trend(curve(*values)).direction == "rises" for values in made]
    # 5 % wanted; of 200 three standard deviations are 4.6 % more.
    assert np.mean(called) < 0.096
    risen = made * np.array([1.0, 1.0, 1.0, 1.0, 1.4])[:, None]
    assert all(judge_trend(curve(*values)).direction == "rises" for values in risen)


def test_a_run_that_diverged_is_worse_than_any_figure():
    inf = math.inf
    assert judge_trend(curve((1.1, 1.1), (1.0, inf))).direction == "rises"
    assert judge_trend(curve((inf, inf), (1.0, 1.1))).direction == "falls"
    assert judge_trend(curve((inf, inf), (inf, inf))).direction == "flat"


def test_where_more_is_better_less_is_worse():
    accuracy = curve((0.70, 0.71), (0.90, 0.91), (0.80, 0.81))
    assert judge_trend(accuracy, higher_is_better=True).direction == "rises"
    assert judge_trend(curve((0.7, 0.71), (0.9, 0.91)), higher_is_better=True).direction == "falls"
    assert judge_trend(curve((math.inf,), (math.inf,)), higher_is_better=True).direction == "flat"


def test_other_axes_are_lines_of_their_own():
    grid = {"hidden": (8, 16), "student": ("gain", "delta"), "layers": (2,), "seed": (0, 1)}
    results = [
        RunResult("", point, "done", {"position": float(i)})
        for i, point in enumerate(grid_settings(grid))
    ]
    results[0] = results[0]._replace(metrics={"position": math.nan})
    found = make_curves(results, grid, "hidden", math.nan)
    assert [(c.line, c.x) for c in found] == [
        ("student=delta", (8.0, 16.0)), ("student=gain", (8.0, 16.0))
    ]  # fmt: skip
    assert found[1].values == ((4.0,), (2.0, 6.0))


def test_names_are_put_in_order_instead_of_on_a_curve():
    grid = {"cell": ("elman", "gru", "lstm"), "seed": (0, 1)}
    figures = [18.0, 0.0, 0.1, 19.0, 0.02, math.inf]
    results = [
        RunResult("", point, "done", {"steps wrong": v})
        for point, v in zip(grid_settings(grid), figures, strict=True)
    ]
    made = make_curves(results, grid, "hidden", 16)
    folder = Sweep(Path("s"), "kalmanrnn sweep", grid, [])
    found = SweepResult(
        folder,
        TaskConfig("burst"),
        "hidden",
        False,
        "[%]",
        results,
        made,
        [judge_trend(c) for c in made],
    )
    assert ranking(found._replace(higher_is_better=True)).endswith(
        "cell=elman (18.50), then cell=gru (0.01000), then cell=lstm (diverged)."
    )
    assert subject(found) == "by cell"
    said = verdict(found)
    assert said.endswith(
        "steps wrong [%]: cell=gru (0.01000), then cell=elman (18.50), then cell=lstm (diverged)."
    )
    assert [table.title for table in tables(found)] == ["Error by cell", "All runs"]
    (ax,) = draw(found).axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["cell=elman", "cell=gru", "cell=lstm"]


@pytest.fixture(scope="module")
def sine(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweeps") / "sine"
    args = ("--sim", "sine", "--grid", "hidden=3,6", "seed=1", "--out", out, "--quiet")
    assert sweep(*args, "--", *SINE) == OK
    return out


def test_a_sweep_leaves_a_run_for_each_point_and_one_report(sine, capsys):
    names = [f"hidden={h},seed=1" for h in (3, 6)]
    for name in names:
        assert (sine / name / "report" / "report.html").exists()
        said = (sine / name / "command.txt").read_text()
        assert said.startswith("kalmanrnn train --sim sine --layers 1"), said
    found = json.loads((sine / "report" / "report.json").read_text())
    assert sorted(run["name"] for run in found["runs"]) == names
    of_run = json.loads((sine / names[0] / "report" / "report.json").read_text())
    assert found["runs"][0]["metrics"] == {of_run["metric"]: of_run["value"]}
    assert found["runs"][0]["num_parameters"] == of_run["weights"]
    assert found["curves"][0]["x"] == [3, 6]
    assert "base64" in (sine / "report" / "report.html").read_text()
    assert main(["report", str(sine)]) == OK
    assert "| hidden=3,seed=1 |" in capsys.readouterr().out


def values_of(out):
    found = json.loads((out / "report" / "report.json").read_text())
    return {run["name"]: run["metrics"] for run in found["runs"]}


def test_stop_and_resume_gives_the_same_runs(sine, tmp_path, monkeypatch, capsys):
    from kalmanrnn.cli import sweep as command

    asked = []

    def stop(step):
        asked.append(step)
        return len(asked) == 50  # in the second run: 31 questions are one run's

    monkeypatch.setattr(command, "stop_on_signal", lambda: stop)
    out = tmp_path / "again"
    args = ("--sim", "sine", "--grid", "hidden=3,6", "seed=1", "--out", out, "--quiet")
    assert sweep(*args, "--", *SINE) == INTERRUPTED
    assert f"kalmanrnn sweep --resume {out}" in three_lines(capsys)
    assert "So far, with 1 of 2 runs" in (out / "report" / "report.md").read_text()
    first = out / "hidden=3,seed=1" / "model.npz"
    assert (out / "hidden=6,seed=1" / "checkpoints" / "last.npz").exists()
    made = first.stat().st_mtime_ns
    monkeypatch.undo()
    assert main(["sweep", "--resume", str(out), "--quiet"]) == OK
    assert first.stat().st_mtime_ns == made
    assert values_of(out) == values_of(sine)
    model = "hidden=6,seed=1/model.npz"
    with np.load(out / model) as a, np.load(sine / model) as b:
        assert all(np.array_equal(a[n], b[n]) for n in a.files if n.startswith("[0]"))


def test_a_finished_sweep_is_only_reported_again(sine):
    before = {p: p.stat().st_mtime_ns for p in sine.glob("hidden*/**/*") if p.is_file()}
    assert main(["sweep", "--resume", str(sine), "--quiet"]) == OK
    assert before == {p: p.stat().st_mtime_ns for p in sine.glob("hidden*/**/*") if p.is_file()}


@pytest.mark.slow
def test_a_sweep_over_a_robot_judges_each_state_group(tmp_path, capsys):
    out = tmp_path / "linear"
    args = ("--sim", "linear", "--grid", "hidden=4", "seed=3", "--out", out, "--json")
    assert sweep(*args, "--", *LINEAR) == OK
    told = capsys.readouterr()
    assert "run 1 of 1: hidden=4,seed=3" in told.err
    found = json.loads(told.out)
    of_run = json.loads((out / "hidden=4,seed=3" / "report" / "report.json").read_text())
    for group in ("position", "velocity"):
        ratio = found["runs"][0]["metrics"][group]
        assert ratio == of_run["accuracy_ratio"][group]["value"]
        assert ratio > 0.9
    assert "nothing to compare" in found["verdict"]
    assert found["runs"][0]["num_parameters"] > 4 * 4 * 4


def finish(run, *, report=None, failure=None):
    """Write what a finished run leaves behind."""
    if report is not None:
        run.folder.report.mkdir()
        (run.folder.report / "report.json").write_text(json.dumps(report))
    if failure is not None:
        (run.folder.path / "failed.json").write_text(json.dumps(failure))


def test_failures_are_recorded_and_shown(tmp_path):
    grid = {"hidden": (8, 64), "seed": (0, 1)}
    made = create_sweep(tmp_path / "s", RunConfig("linear"), grid, command=["x"], train=["y"])
    lost = {"what": "the network did not learn", "why": "no better", "cure": "c", "code": DIVERGED}
    for run in made.runs:
        if run.setting["hidden"] == 8:
            finish(run, report={"accuracy_ratio": {"position": {"value": 1.1}}})
    finish(made.runs[1], failure=lost)
    # A cause that has nothing to do with learning says nothing about the width.
    finish(made.runs[3], failure=lost | {"what": "the disk is gone", "code": DATA})
    found = write_sweep_report(made)
    assert [r["state"] for r in found["runs"]] == ["done", "failed", "done", "failed"]
    assert found["curves"][0]["values"] == [[1.1, 1.1], [None]]
    assert found["rises"]
    said = (tmp_path / "s" / "report" / "report.md").read_text()
    assert (
        "Error RISES with hidden: position from 1.10 at 8 to 64, where 1 of 1 runs diverged" in said
    )
    assert "the optimisation is at fault" in said
    assert "hidden=64,seed=1 failed: the disk is gone" in said


def test_a_sweep_in_which_nothing_learns_says_so(tmp_path, capsys):
    out = tmp_path / "none"
    args = ("--sim", "sine", "--grid", "seed=0", "--out", out, "--quiet")
    assert sweep(*args, "--", *SINE, "--learning-rate", "1e-30", "--hidden", "3") == DIVERGED
    assert "none of the 1 runs" in three_lines(capsys)


def test_a_run_that_was_taken_away_is_laid_out_anew(tmp_path):
    import shutil

    base = TaskConfig("sine", network=NetworkConfig(layers=3))
    grid = {"hidden": (3, 6)}
    made = create_sweep(tmp_path / "s", base, grid, command=["x"], train=["kalmanrnn", "train"])
    config = made.runs[1].config()
    assert config == apply_setting(base, {"hidden": 6})
    shutil.rmtree(made.runs[1].folder.path)
    assert open_sweep(tmp_path / "s").runs[1].config() == config
    for run in made.runs:
        shutil.rmtree(run.folder.path)
    with pytest.raises(UserError, match="no run is left"):
        open_sweep(tmp_path / "s")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--sim", "sine"), "the grid is empty"),
        (("--sim", "sine", "--grid", "hiden=3,6"), "--grid hidden=3,6"),
        (("--sim", "rover", "--grid", "window=30,60"), "_window=30,60"),
        (("--sim", "sine", "--grid", "student=gain"), "'student'"),
        (("--sim", "sine", "--grid", "hidden"), "cannot read 'hidden'"),
        (("--sim", "sine", "--grid", "hidden=3,x"), "whole number"),
        (("--sim", "sine", "--grid", "hidden=3,3"), "a value twice"),
        (("--sim", "sine", "--grid", "hidden=3", "hidden=4"), "--grid hidden=3,4"),
        (("--sim", "sine", "--grid", "cell=lstn,gru"), "lstm, gru, elman"),
        (("--sim", "sine", "--grid", "stateful=1"), "true or false"),
        (("--sim", "sine", "--grid", "conv=3"), "several numbers"),
        (("--sim", "sine", "--grid", "hidden=0,3"), "--hidden must be more than 0, got 0"),
        (("--sim", "rovr", "--grid", "hidden=3"), "--sim rover"),
        (("--sim", "sine", "--grid", "hidden=3", "--", "--hidden", "4"), "given twice"),
        (("--sim", "sine", "--grid", "hidden=3", "--", "--out", "x"), "put --out before"),
        (("--sim", "rover", "--grid", "hidden=3", "--", "--log", "x"), "leave --log out"),
        (("--resume", "nowhere"), "there is no sweep in nowhere"),
        (("--resume", "nowhere", "--grid", "hidden=3"), "--resume cannot be combined with --grid"),
    ],
)
def test_bad_input_gets_three_lines_and_leaves_nothing(args, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sweep(*args) == USAGE
    assert says in three_lines(capsys)
    assert not list(tmp_path.iterdir())


def test_an_existing_or_damaged_sweep_is_named(sine, tmp_path, capsys):
    args = ("--sim", "sine", "--grid", "hidden=3", "--out", sine)
    assert sweep(*args) == USAGE
    assert f"kalmanrnn sweep --resume {sine}" in three_lines(capsys)
    (tmp_path / "sweep.json").write_text('{"grid": 3')
    assert main(["sweep", "--resume", str(tmp_path)]) == DATA
    assert "sweep.json is damaged" in three_lines(capsys)


def test_a_sweep_from_before_the_renames_is_resumed_under_its_old_folders(tmp_path):
    base, grid = TaskConfig("sine"), {"hidden": (3,), "stateful": (False, True)}
    made = create_sweep(tmp_path / "s", base, grid, command=["x"], train=["y"])
    old = json.loads((tmp_path / "s" / "sweep.json").read_text().replace("stateful", "carried"))
    (tmp_path / "s" / "sweep.json").write_text(json.dumps(old))
    for run in made.runs:
        run.folder.path.rename(tmp_path / "s" / run.name.replace("stateful", "carried"))
    again = open_sweep(tmp_path / "s")
    assert again.grid == made.grid
    assert [run.setting for run in again.runs] == [run.setting for run in made.runs]
    assert [run.name for run in again.runs] == ["hidden=3,carried=False", "hidden=3,carried=True"]
    assert again.runs[1].config().budget.stateful
