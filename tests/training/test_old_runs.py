"""Runs made by version 0.1, kept small in tests/data: they load under the names of today."""

import json
import shutil

import numpy as np
import pytest
from helpers import TEST_DATA

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.errors import OK, USAGE
from kalmanrnn.core.renamed import CONFIG_SECTIONS, RENAMED
from kalmanrnn.training.run_directory import open_run
from kalmanrnn.training.trained import load_student


@pytest.fixture
def old(tmp_path):
    shutil.copytree(TEST_DATA / "old_runs", tmp_path / "old")
    return tmp_path / "old"


def test_settings_are_read_under_their_old_names(old):
    raw = json.loads((old / "student" / "config.json").read_text())
    config = open_run(old / "student").config()
    assert config.data.validation == raw["data"]["watched"] == 8
    assert config.data.max_outage_s == raw["data"]["longest_outage_s"] == 15.0
    assert config.train.rollout_steps == raw["train"]["free_steps"] == 8
    assert config.train.final_fraction == raw["train"]["last_rate"] == 0.02
    task = open_run(old / "task").task_config()
    raw = json.loads((old / "task" / "config.json").read_text())
    assert task.budget.test == raw["budget"]["held_out"] == 8
    assert task.budget.learning_rate == raw["budget"]["rate"]
    assert task.network.zero_init_output == raw["network"]["quiet_start"]


def test_metrics_are_read_under_their_old_names(old):
    history = open_run(old / "student").history()
    assert history[0]["phase"] == "distil"
    assert history[0]["resets"] == 0
    assert any("validation_error" in record for record in history)


def test_the_student_runs(old):
    student = load_student(old / "student")
    assert student.progress.step > 0
    assert np.isfinite(student.progress.untrained_score)


@pytest.mark.parametrize("kind", ["student", "task"])
def test_an_old_run_is_resumed_and_evaluated(old, kind):
    """It is over, so resuming evaluates the best student and writes the report again."""
    assert main(["train", "--resume", str(old / kind), "--quiet"]) == OK
    found = json.loads((old / kind / "report" / "report.json").read_text())
    assert found["scenario" if kind == "student" else "task"] in ("linear", "burst")
    assert "phase" in (old / kind / "metrics.csv").read_text().splitlines()[0]


def test_flags_are_refused_by_their_old_names(capsys):
    for section in CONFIG_SECTIONS:
        for old_key, new_key in RENAMED[section].items():
            flag, new = ("--" + key.replace("_", "-") for key in (old_key, new_key))
            sim = "burst" if section in ("network", "budget") else "linear"
            assert main(["train", "--sim", sim, flag, "3"]) == USAGE
            error = capsys.readouterr().err
            assert error.startswith(f"error: {flag}")
            assert new in error.splitlines()[-1] or "--" in error.splitlines()[-1]
            assert main(["train", "--sim", sim, f"{flag}=3"]) == USAGE
            capsys.readouterr()
