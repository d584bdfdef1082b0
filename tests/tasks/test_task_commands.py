import json
import re

import numpy as np
import pytest

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.errors import DATA, DIVERGED, USAGE

QUICK = ["--updates", "30", "--hidden", "8", "--layers", "1", "--test", "32", "--quiet"]

FLAT = '''
"""Nothing can be learnt here: the labels are noise."""
import jax
from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.task import Metric, SequenceTask, unweighted


def draw(key, steps):
    x_key, y_key = jax.random.split(key)
    return unweighted(jax.random.normal(x_key, (steps, 1)), jax.random.normal(y_key, (SHAPE,)))


TASK = SequenceTask(
    "flat", "Noise to noise", "sequence_value", (Channel("x", "m"),), (Channel("y", "m"),), draw,
    steps=5, network=NetworkConfig(hidden=4, zero_init_output=True),
    budget=BudgetConfig(
        updates=20, learning_rate=1.0, warmup=0, final_fraction=1.0, num_validations=1
    ),
    metric=Metric("error", "m"),
)
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks") / "run"
    assert main(["train", "--sim", "sine", *QUICK, "--out", str(folder)]) == 0
    return folder


def three_lines(capsys):
    said = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[0] for line in said[-3:]] == ["error", "why", "try"]
    return "\n".join(said[-3:])


def test_a_report_says_what_was_judged(run, capsys):
    report = json.loads((run / "report" / "report.json").read_text())
    assert (report["task"], report["target"]) == ("sine", 0.01)
    assert report["reached"] is (report["value"] <= 0.01)
    assert report["value"] == report["errors"]["test sequences"]
    assert report["config"]["network"]["hidden"] == 8
    page = (run / "report" / "report.html").read_text()
    # Figures are inside the page, and nothing outside it is looked up.
    assert page.count("data:image/svg+xml;base64") >= 2
    assert not re.findall(r'(?:src|href)="http', page)
    assert "synthetic" in page
    capsys.readouterr()
    assert main(["report", str(run)]) == 0
    assert "sum of squares over the forecast" in capsys.readouterr().out


def test_eval_judges_a_task_again_on_other_sequences(run, capsys):
    first = json.loads((run / "report" / "report.json").read_text())["value"]
    same, other = run / "same", run / "other"
    assert main(["eval", str(run), "--out", str(same)]) == 0
    assert main(["eval", str(run), "--out", str(other), "--seed", "5"]) == 0
    values = [json.loads((p / "report.json").read_text())["value"] for p in (same, other)]
    assert values[0] == pytest.approx(first, rel=1e-6)
    assert values[1] != values[0]
    assert np.isclose(values[1], first, rtol=0.5)


def test_a_finished_run_can_be_resumed_for_its_report(run):
    before = (run / "report" / "report.json").read_text()
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    after = json.loads((run / "report" / "report.json").read_text())
    assert after["value"] == json.loads(before)["value"]


@pytest.mark.parametrize("command", [["export", "RUN", "--out", "x"], ["predict", "RUN", "a.npz"]])
def test_what_needs_a_filter_refuses_a_task(run, capsys, command):
    args = [str(run) if a == "RUN" else a for a in command]
    args += ["--out", "e.csv"] if command[0] == "predict" else []
    assert main(args) == USAGE
    assert "sequence task" in three_lines(capsys)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--sim", "sin"], USAGE, "no sim named"),
        (["--sim", "sine", "--set", "variant=nine"], DATA, "variant must be one of"),
        (["--sim", "sine", "--set", "output=3"], USAGE, "no parameter"),
        (["--sim", "sine", "--updates", "0"], USAGE, "must be more than 0"),
        (["--sim", "sine", "--learning-rate", "-1"], USAGE, "must be more than 0"),
        (["--sim", "bones", "--sequences", "0"], USAGE, "need budget.sequences"),
        (["--sim", "blocks", "--bidirectional"], USAGE, "cannot be used"),
    ],
)
def test_wrong_commands_are_told_in_three_lines(args, code, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *args]) == code
    assert said in three_lines(capsys)
    assert not list(tmp_path.iterdir())


def test_a_task_of_wrong_shapes_is_refused(tmp_path, capsys):
    (tmp_path / "own.py").write_text(FLAT.replace("SHAPE", "2"))
    assert main(["train", "--sim", str(tmp_path / "own.py")]) == DATA
    assert "sample must return y of shape (1,), got (2,)" in three_lines(capsys)


def test_what_cannot_be_learnt_is_said_behind_the_report(tmp_path, capsys):
    (tmp_path / "own.py").write_text(FLAT.replace("SHAPE", "1"))
    out = tmp_path / "run"
    code = main(["train", "--sim", str(tmp_path / "own.py"), "--out", str(out), "--quiet"])
    assert code == DIVERGED
    assert "did not learn" in three_lines(capsys)
    assert (out / "report" / "report.html").exists()


def test_sims_lists_tasks_apart(capsys):
    assert main(["sims"]) == 0
    robots, tasks = capsys.readouterr().out.split("sequence tasks")
    assert "imu_gps" in robots
    assert "burst" in tasks
    assert "burst" not in robots
