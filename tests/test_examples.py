"""Each example runs from another folder, and what it prints is true."""

import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT

FOLDER = ROOT / "examples"


def ratio(line):
    """Read the first number after the last colon-free word, such as a ratio."""
    return float(re.search(r"(\d+\.\d+)", line)[1])


def find(out, start):
    (line,) = [line for line in out.splitlines() if line.startswith(start)]
    return line


def check_own_scenario(out, _):
    # The beacon bounds what dead reckoning accumulates.
    assert 3 * ratio(find(out, "ukf:")) < ratio(find(out, "dead_reckoning:"))


def check_check_scenario(out, _):
    right, wrong = out.split("too small\n")
    assert "error" not in right
    assert "process noise" in wrong or "teacher" in wrong


def check_train_in_memory(out, folder):
    # On the linear scenario a minute of training is already near the filter.
    assert 0.95 < ratio(find(out, "position:")) < 1.5
    assert "<html" in (folder / "report.html").read_text().lower()
    with np.load(folder / "student.npz") as kept:
        assert len(kept.files) > 3


def check_tune_by_loop(out, _):
    assert [line.split()[0] for line in out.splitlines()] == ["4", "16"]


def check_own_filter_as_teacher(out, _):
    # The same model written twice: the two filters differ by the order of updates alone.
    assert 0.8 < ratio(find(out, "mine : UKF")) < 1.25
    assert ratio(find(out, "student : mine")) > 0.9


def check_arrays_against_filters(out, _):
    # Positions were smoothed, with the event after; the heading was left as it is.
    assert 0.9 < ratio(find(out, "mine : UKF in position")) < 1
    assert ratio(find(out, "mine : UKF in heading")) == 1


def check_log_without_truth(out, _):
    assert "note: guessed" in out
    assert "NIS" in out


def check_export_student(out, folder):
    state = np.array(out.split("[")[1].rstrip("]\n").split(), float)
    # The event's readings are near where it was started.
    np.testing.assert_allclose(state, [2, 3, 0], atol=0.2)
    assert list((folder / "nav" / "c").glob("*.c"))


def check_online(out, _):
    numbers = [float(x) for x in re.findall(r"-?\d+\.\d+", find(out, "position"))]
    assert np.abs(np.subtract(numbers[:2], numbers[2:])).max() < 30
    assert "'late': 0" in out


def check_diagnose_arrays(out, _):
    assert "scale" in out
    assert "feedback" in out


CHECKS = {name[6:]: f for name, f in list(globals().items()) if name.startswith("check_")}


# Those that train compile for as long as they run.
SLOW = {"diagnose_arrays", "own_filter_as_teacher", "tune_by_loop"}
SLOW |= {"train_in_memory", "export_student", "online", "log_without_truth"}
# Started as a user does; the others find jax imported and the shipped scenarios compiled.
BY_ITSELF = {"own_scenario"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in sorted(CHECKS)]
)
def test_an_example_runs(name, tmp_path, monkeypatch, capsys):
    script = str(FOLDER / f"{name}.py")
    if name in BY_ITSELF:
        command = [sys.executable, script]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr[-2000:]
        CHECKS[name](run.stdout, tmp_path)
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    monkeypatch.delitem(sys.modules, "runtime", raising=False)
    runpy.run_path(script, run_name="__main__")
    CHECKS[name](capsys.readouterr().out, tmp_path)


def test_examples_are_short_and_say_what_they_show():
    scripts = {path.stem: path.read_text() for path in FOLDER.glob("*.py")}
    assert set(scripts) == {*CHECKS, "my_filter"}
    for name, text in scripts.items():
        assert text.startswith('"""'), name
        assert name == "my_filter" or len(text.splitlines()) < 45, name
        assert "__name__" not in text.split('"""')[2], name
