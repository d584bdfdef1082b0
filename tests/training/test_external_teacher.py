"""A filter of the user's own as the teacher of a whole run; drives it fails on cost only those."""

import json

import jax
import numpy as np
import pytest

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.config import DataConfig, RunConfig, StudentConfig, TrainConfig
from kalmanrnn.core.errors import DATA, USAGE
from kalmanrnn.data.datasets import build_dataset
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.models.student import make_student
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.training.batches import prepare_set
from kalmanrnn.training.phases import locate, phases
from kalmanrnn.training.update import init_state, make_update

TEACHER = '''
"""A textbook Kalman filter for the sim linear; it cannot stand a start far in the north-east."""
import numpy as np

H = np.eye(2, 4)

class Filter:
    def init(self, belief):
        self.x, self.P = np.array(belief.mean), np.array(belief.cov)
        self.fails = {fails}

    def step(self, packet):
        if self.fails:
            raise RuntimeError("not there")
        if packet.seen[0]:
            S = H @ self.P @ H.T + R
            K = self.P @ H.T @ np.linalg.inv(S)
            self.x = self.x + K @ (packet.z - H @ self.x)
            self.P = (np.eye(4) - K @ H) @ self.P
        said = self.x.copy(), self.P.copy()
        for dt in packet.dt:
            F = np.eye(4); F[0, 2] = F[1, 3] = dt
            self.x, self.P = F @ self.x, F @ self.P @ F.T + np.diag([0, 0, 0.25, 0.25]) * dt
        return said

def make_filter(scenario):
    global R
    R = np.diag(scenario.sigma**2)
    return Filter()
'''
SMALL = [
    *("--sim", "linear", "--hidden", "8", "--layers", "1", "--head", "8", "--teacher-workers", "1"),
    *("--drives", "16", "--seconds", "8", "--validation", "8", "--test", "8", "--skip-s", "2"),
    *(
        "--distil-steps",
        "30",
        "--rollout-steps",
        "10",
        "--distil-batch",
        "8",
        "--rollout-batch",
        "8",
    ),
]


@pytest.fixture
def teacher(tmp_path):
    def write(fails):
        path = tmp_path / "my_filter.py"
        path.write_text(TEACHER.format(fails=fails))
        return f"{path}:make_filter"

    return write


@pytest.mark.slow
def test_a_filter_of_ones_own_teaches_and_is_compared_with(teacher, tmp_path, capfd):
    out = tmp_path / "run"
    spec = teacher("self.x[0] > 30 and self.x[1] > 30")
    assert main(["train", *SMALL, "--teacher", spec, "--out", str(out)]) == 0
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["teacher"] == "own_filter"
    assert {"ekf", "ukf", "own_filter", "student"} <= set(report["rmse"]["position"])
    # As good as ours, which knows the same models: position and velocity.
    for group in ("position", "velocity"):
        ours, own = (report["rmse"][group][n] for n in ("ekf", "own_filter"))
        assert own == pytest.approx(ours, rel=0.3)
    assert list((out / "teacher").glob("*.npz"))
    told = capfd.readouterr().err
    if report["drives"] < 8:
        assert any("failed on" in note for note in report["notes"])
        assert "not there" in told


def test_a_teacher_that_always_fails_ends_the_run(teacher, tmp_path, capsys):
    code = main(["train", *SMALL, "--teacher", teacher("True"), "--out", str(tmp_path / "r")])
    told = capsys.readouterr().err
    assert code == DATA
    assert "failed on all" in told
    assert "not there" in told


def test_a_teacher_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["train", "--sim", "linear", "--teacher", "kf", "--out", str(tmp_path / "a")]) == 2
    assert "there is no teacher 'kf'" in capsys.readouterr().err
    spec = str(tmp_path / "none.py:make_filter")
    assert main(["train", *SMALL, "--teacher", spec, "--out", str(tmp_path / "b")]) in (USAGE, DATA)
    assert "none.py" in capsys.readouterr().err


def test_moves_teach_a_gain_that_nobody_gave():
    """One batch: the corrections that the gain makes come to the teacher's."""
    config = RunConfig(
        sim="linear",
        student=StudentConfig(hidden=16, layers=1, head=16),
        data=DataConfig(drives=8, seconds=8.0, validation=8, check_segments=0),
        train=TrainConfig(
            distil_steps=400, distil_batch=8, distil_window=80, distil_learning_rate=2e-2
        ),
    )
    scenario = load_scenario("linear")
    student, params = make_student(scenario, config.student, seed=0)
    dataset = build_dataset(scenario, config, 0)
    norm = fit_normaliser(student, dataset.drives, dataset.run, 2)
    # Nobody knows the gain: it is all zeros.
    dataset = dataset._replace(run=dataset.run._replace(gain=np.zeros_like(dataset.run.gain)))
    part = phases(config.train, config.data, dataset.drives.t.shape[1])[0]
    state = init_state(student, config.train, part, params)
    data = prepare_set(student, norm, config.train, locate([part], 0), dataset)
    update = make_update(student, norm, config.train, part, by_correction=True)
    losses = []
    for _ in range(400):
        state, loss = update(state, data, np.arange(8), 0, True)
        losses.append(float(loss))
    assert np.mean(losses[-10:]) < losses[0] / 30
    jax.block_until_ready(state.params)
