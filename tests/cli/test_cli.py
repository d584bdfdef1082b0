import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import SMALL_RUN

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.errors import DATA, DIVERGED, INTERRUPTED, OK, USAGE

MAIN = "import sys; from kalmanrnn.cli.entry_point import main"


def run(*args):
    return main([str(a) for a in args])


def three_lines(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    starts = [line.split(":")[0] for line in lines[-3:]]
    assert starts == ["error", "why", "try"], lines
    return "\n".join(lines)


def test_help_is_quick_and_imports_no_jax():
    code = f"{MAIN}; main(['--help']); print('jax' in sys.modules)"
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        taken.append(time.perf_counter() - began)
    assert done.stdout.endswith("False\n")
    assert "train" in done.stdout
    assert min(taken) < 0.3


def test_sims_are_listed_without_jax():
    code = f"{MAIN}; main(['sims']); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("False\n")
    for name in ("imu_gps", "linear", "lorenz", "rover"):
        assert name in done.stdout


def test_a_run_leaves_everything_behind(linear_run):
    for name in ("config.json", "command.txt", "versions.json", "metrics.jsonl", "metrics.csv",
                 "model.npz", "checkpoints/last.npz", "report/report.html", "report/report.md",
                 "report/report.json", "report/per_drive.csv"):  # fmt: skip
        assert (linear_run / name).stat().st_size > 0, name
    found = json.loads((linear_run / "report" / "report.json").read_text())
    assert found["scenario"] == "linear"
    assert found["drives"] == 8
    assert found["seconds_total"] > 0
    assert set(found["accuracy_ratio"]["position"]) >= {"value", "low", "high"}
    assert found["rmse"]["position"]["ukf"] > 0


def test_eval_again_gives_the_same_numbers(linear_run, tmp_path, capsys):
    assert run("eval", linear_run, "--out", tmp_path / "again", "--json") == OK
    found = json.loads(capsys.readouterr().out)
    first = json.loads((linear_run / "report" / "report.json").read_text())
    assert found["rmse"] == first["rmse"]


def test_report_prints_what_the_run_found(linear_run, capsys):
    assert run("report", linear_run) == OK
    assert "| UKF |" in capsys.readouterr().out
    assert run("report", linear_run, "--json") == OK
    assert json.loads(capsys.readouterr().out)["drives"] == 8


def test_a_config_file_comes_first_and_flags_over_it(linear_run, tmp_path):
    out = tmp_path / "second"
    args = (
        "--config",
        linear_run / "config.json",
        "--hidden",
        "10",
        "--quiet",
        "--rollout-steps",
        "0",
    )
    assert run("train", *args, "--out", out) == OK
    made = json.loads((out / "config.json").read_text())
    assert made["sim"] == "linear"
    assert made["student"]["hidden"] == 10
    assert made["student"]["head"] == 8


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("train", "--sim", "imu_gsp"), USAGE, "imu_gps"),
        (("train", "--sim", "nowhere.py"), USAGE, "nowhere.py"),
        (("tarin",), USAGE, "kalmanrnn train"),
        (("eval", "nowhere"), USAGE, "nowhere"),
        (("report", "nowhere"), USAGE, "nowhere"),
        (("sims", "extra"), USAGE, "extra"),
        (("train", "--config", "nowhere.json"), DATA, "nowhere.json"),
        (("train", "--hidden", "0"), USAGE, "--hidden"),
        (("train", "--seconds", "-1"), USAGE, "--seconds"),
        (("train", "--distil-learning-rate", "nan"), USAGE, "--distil-learning-rate"),
        (("train", "--distil-steps", "0", "--rollout-steps", "0"), USAGE, "nothing to do"),
    ],
)
def test_wrong_words_get_three_lines(args, code, says, capsys):
    assert run(*args) == code
    assert says in three_lines(capsys)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "SCENARIO"),
        ("import nothing_of_that_name\n", "line 1"),
        ("from kalmanrnn.scenarios.sensors import Imu\nSCENARIO = Imu(rate_hz=-1.0)\n", "rate_hz"),
    ],
)
def test_a_sim_file_that_cannot_be_used(text, says, tmp_path, capsys):
    file = tmp_path / "robot.py"
    file.write_text(text)
    assert run("train", "--sim", file, "--out", tmp_path / "run") == DATA
    assert says in three_lines(capsys)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_refused(linear_run, capsys):
    before = (linear_run / "model.npz").read_bytes()
    assert run("train", "--out", linear_run, *SMALL_RUN) == USAGE
    assert "exists already" in three_lines(capsys)
    assert (linear_run / "model.npz").read_bytes() == before


def test_a_damaged_model_is_named(linear_run, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(linear_run, copy)
    (copy / "model.npz").write_bytes(b"PK\x03\x04 not a model")
    assert run("eval", copy) == DATA
    assert "model.npz is damaged" in three_lines(capsys)
    (copy / "config.json").write_text('{"sim": "linear"')
    assert run("eval", copy) == DATA
    assert "config.json" in three_lines(capsys)


def test_a_checkpoint_of_another_scenario_is_refused(linear_run, capsys):
    assert run("eval", linear_run, "--sim", "lorenz") == DATA
    assert "trained on linear, not lorenz" in three_lines(capsys)


def test_a_folder_without_a_log_is_refused(linear_run, tmp_path, capsys):
    assert run("eval", linear_run, "--log", tmp_path) == DATA
    assert "holds no log" in three_lines(capsys)


def test_a_full_disk_is_told_and_nothing_is_lost(linear_run, monkeypatch, capsys, tmp_path):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(np, "savez", full)
    assert run("train", "--out", tmp_path / "run", *SMALL_RUN) == DATA
    assert "No space left" in three_lines(capsys)


def test_a_read_only_place_is_told(monkeypatch, capsys, tmp_path):
    from pathlib import Path

    def refuse(self, *args, **kwargs):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert run("train", "--out", tmp_path / "run", *SMALL_RUN) == DATA
    assert "Read-only" in three_lines(capsys)


def test_a_run_that_does_not_learn_says_so(tmp_path, capsys):
    rates = ("--distil-learning-rate", "1e-12", "--rollout-learning-rate", "1e-12")
    assert run("train", "--out", tmp_path / "run", *SMALL_RUN, *rates) == DIVERGED
    assert "did not learn" in three_lines(capsys)
    assert not (tmp_path / "run" / "report").exists()


def test_ctrl_c_saves_and_resume_goes_on(tmp_path):
    out = tmp_path / "run"
    args = [sys.executable, "-m", "kalmanrnn", "train", "--out", str(out)]
    steps = ("--distil-steps", "100000")
    env = dict(os.environ)
    child = subprocess.Popen(
        [*args, *SMALL_RUN, *steps], stderr=subprocess.PIPE, text=True, env=env
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (out / "metrics.jsonl").exists():
        time.sleep(0.2)
    time.sleep(1.0)
    child.send_signal(2)
    _, told = child.communicate(timeout=120)
    assert child.returncode == INTERRUPTED, told
    assert f"try:   kalmanrnn train --resume {out}" in told
    assert (out / "checkpoints" / "last.npz").exists()


def test_resume_finishes_a_run(tmp_path):
    from kalmanrnn.cli.common import parse
    from kalmanrnn.cli.train import TrainFlags
    from kalmanrnn.core.config import RunConfig
    from kalmanrnn.core.errors import UserError
    from kalmanrnn.scenarios.scenario import load_scenario
    from kalmanrnn.training.fit import fit
    from kalmanrnn.training.run_directory import create_run

    flags = parse(TrainFlags, list(SMALL_RUN), prog="x")
    config = RunConfig("linear", (), flags.student, flags.data, flags.train)
    folder = create_run(tmp_path / "run", config, ["kalmanrnn", "train"])
    with pytest.raises(UserError):
        fit(load_scenario("linear"), config, folder, stop=lambda step: step == 10, quiet=True)
    assert run("report", folder.path) == DATA
    assert run("train", "--resume", folder.path, "--quiet") == OK
    assert (folder.report / "report.html").exists()
