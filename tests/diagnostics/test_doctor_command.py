"""`kalmanrnn doctor` as a person uses it: arrays, a scenario, a task, a run; and bad input."""

import json

import jax
import numpy as np
import pytest
import sequencemaking as making

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.config import DataConfig, RunConfig, StudentConfig, TrainConfig
from kalmanrnn.core.errors import DATA, OK, USAGE
from kalmanrnn.diagnostics.training import fit, from_sim, learning, width
from kalmanrnn.diagnostics.training.from_run import from_run


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Train only a little: what is tested here is the way there, not what is found on it."""
    monkeypatch.setattr(width, "UPDATES", 10)
    monkeypatch.setattr(width, "WIDTHS", (4,))
    monkeypatch.setattr(learning, "OVERFIT_UPDATES", 200)
    monkeypatch.setattr(from_sim, "DRIVES", 12)
    monkeypatch.setattr(from_sim, "SECONDS", 20.0)


def write(path, x, y, **more):
    np.savez(path, inputs=x, targets=y, **more)
    return str(path)


def doctor(capsys, *args):
    code = main(["doctor", *args])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.slow
def test_healthy_arrays_give_exit_code_0_a_picture_and_numbers(tmp_path, capsys):
    file = write(tmp_path / "a.npz", *making.lagged(n=48, steps=16, lag=2))
    code, out, err = doctor(capsys, "--arrays", file, "--out", str(tmp_path / "seen"))
    assert code == OK, out
    assert out.startswith("no problems found")
    assert "memory needed: 2 steps back" in out
    assert "doctor: " in err
    assert (tmp_path / "seen" / "doctor.png").stat().st_size > 10_000


def test_a_fault_gives_exit_code_3_and_the_same_as_json(tmp_path, capsys):
    x, y = making.walks(feedback=False)
    file = write(tmp_path / "a.npz", x, y)
    code, out, _ = doctor(capsys, "--arrays", file, "--no-learn", "--quiet")
    assert code == DATA
    assert "error    feedback" in out
    code, out, err = doctor(capsys, "--arrays", file, "--no-learn", "--quiet", "--json")
    found = json.loads(out)
    assert (code, err) == (DATA, "")
    assert found["findings"][0]["name"] == "feedback"
    assert len(found["r2_by_lag"]["lag"]) == len(found["r2_by_lag"]["r2"])


def test_flags_for_arrays_are_used(tmp_path, capsys):
    x, y = making.filtered()
    file = write(tmp_path / "a.npz", x, y, validation_inputs=x[:5], validation_targets=y[:5])
    code, out, _ = doctor(
        capsys, "--arrays", file, "--no-learn", "--stateful", "--output-range", "-1", "1"
    )
    assert code == DATA
    for name in ("leak", "carry", "range"):
        assert f"error    {name}" in out, name


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"t,x\n0,1\n", "is not an .npz file"),
        (b"PK\x03\x04 cut off", "is not an .npz file"),
    ],
)
def test_files_that_are_none_are_refused_in_three_lines(tmp_path, capsys, content, said):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    code, _, err = doctor(capsys, "--arrays", str(path))
    assert code == DATA
    assert said in err
    assert [line[:6] for line in err.strip().splitlines()] == ["error:", "why:  ", "try:  "]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"inputs": np.zeros((4, 5, 1))}, "has no 'targets'"),
        ({}, "has no 'inputs'"),
        ({"inputs": np.zeros((4, 5)), "targets": np.zeros((4, 1))}, "inputs have 2 axes"),
        ({"inputs": np.zeros((4, 5, 1)), "targets": np.zeros((3, 1))}, "4 sequences of inputs"),
        (
            {"inputs": np.array([{}], object), "targets": np.zeros((1, 1))},
            "cannot read",
        ),
        (
            {
                "inputs": np.zeros((4, 5, 1)),
                "targets": np.zeros((4, 1)),
                "validation_inputs": np.zeros((4, 5, 1)),
            },
            "validation_inputs alone",
        ),
        (
            {
                "inputs": np.zeros((4, 5, 1)),
                "targets": np.zeros((4, 1)),
                "validation_inputs": np.zeros((4, 5, 2)),
                "validation_targets": np.zeros((4, 1)),
            },
            "do not match inputs",
        ),
        (
            {
                "inputs": np.zeros((4, 5, 1)),
                "targets": np.zeros((4, 1)),
                "validation_inputs": np.zeros((4, 5, 1)),
                "validation_targets": np.zeros((4, 2)),
            },
            "do not match inputs",
        ),
    ],
)
def test_members_that_do_not_fit_are_refused_in_three_lines(tmp_path, capsys, members, said):
    np.savez(tmp_path / "a.npz", **members)
    code, _, err = doctor(capsys, "--arrays", str(tmp_path / "a.npz"))
    assert code == DATA
    assert said in err
    assert len(err.strip().splitlines()) == 3


def test_nan_is_a_finding_not_a_refusal(tmp_path, capsys):
    x, y = making.lagged()
    x[0, 0, 0] = np.nan
    code, out, _ = doctor(capsys, "--arrays", write(tmp_path / "a.npz", x, y), "--no-learn")
    assert code == DATA
    assert "error    nan" in out


def test_one_thing_at_a_time(tmp_path, capsys):
    for args in ([], ["--sim", "rover", "--arrays", "a.npz"]):
        code, _, err = doctor(capsys, *args)
        assert code == USAGE
        assert "one thing at a time" in err
    assert doctor(capsys, "--sim", "nowhere")[0] in (USAGE, DATA)
    assert doctor(capsys, str(tmp_path / "none"))[0] == USAGE
    assert doctor(capsys, "--arrays", str(tmp_path / "none.npz"))[0] == DATA


@pytest.mark.slow
def test_a_direct_student_is_told_of_absolute_outputs_and_a_gain_is_healthy(capsys):
    code, out, _ = doctor(capsys, "--sim", "rover", "--student", "direct", "--no-learn")
    assert code == DATA
    assert "error    resolution" in out
    assert "--student gain" in out
    code, out, _ = doctor(capsys, "--sim", "rover", "--no-learn")
    assert (code, out.splitlines()[0]) == (OK, "no problems found")


def test_windows_shorter_than_the_slowest_sensors_period_are_found(scenario):
    rover = scenario("rover")
    # GPS at 5 Hz among events at 10 Hz: two steps.
    short, well = (
        from_sim.check_windows_for_sensors(
            rover, RunConfig("rover", train=TrainConfig(rollout_window=n))
        )
        for n in (1, 30)
    )
    assert [(f.name, f.level, f.evidence) for f in short] == [("window", "error", 0.5)]
    assert well == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--sim", "rover", "--stateful"], "--stateful would have no effect"),
        (["--sim", "rover", "--learning-rate", "1e-3"], "--learning-rate would have no effect"),
        (["--arrays", "a.npz", "--student", "direct"], "flags of student would have no effect"),
        (["runs/latest", "--rollout-window", "3"], "flags of train would have no effect"),
    ],
)
def test_flags_that_would_not_be_used_are_refused(capsys, args, said):
    code, _, err = doctor(capsys, *args)
    assert code == USAGE
    assert said in err


def test_a_task_is_looked_at_in_its_own_settings(capsys):
    args = ("--sim", "burst", "--sequences", "64", "--no-learn", "--json")
    healthy = json.loads(doctor(capsys, *args)[1])
    assert [f["name"] for f in healthy["findings"]] == []
    carried = json.loads(doctor(capsys, *args, "--stateful")[1])
    assert [f["name"] for f in carried["findings"]] == ["carry"]


def test_a_long_way_to_one_answer_is_found_and_convolutions_shorten_it(capsys):
    args = ("--sim", "spectra", "--sequences", "300", "--no-learn", "--json")
    plain = json.loads(doctor(capsys, *args, "--set", "variant=plain")[1])
    assert [f["name"] for f in plain["findings"]] == ["length"]
    assert plain["findings"][0]["evidence"] > 0.5
    assert json.loads(doctor(capsys, *args)[1])["findings"] == []


@pytest.mark.slow
def test_the_core_of_a_run_is_looked_at(tmp_path):
    from kalmanrnn.models.student import blank_normaliser, make_student
    from kalmanrnn.scenarios.scenario import load_scenario
    from kalmanrnn.training import checkpoint, run_directory
    from kalmanrnn.training.loop import Progress

    config = RunConfig(
        "linear", student=StudentConfig(hidden=8, layers=1, head=8), data=DataConfig(seconds=20.0)
    )
    folder = run_directory.create_run(tmp_path / "run", config, ["kalmanrnn", "train"])
    student, params = make_student(load_scenario("linear"), config.student, seed=0)
    # An untrained core gives nothing, so that it would look at nothing.
    params = jax.tree.map(lambda a: a + 0.1, params)
    checkpoint.save(folder.best, (params, blank_normaliser(student)), Progress()._asdict())
    told = []
    seen = from_run(folder.path, told.append)
    assert seen.network_name == "the trained core"
    assert seen.curves.sensitivity[0] > 0
    assert seen.width_sweep is None
    assert told


def test_rates_side_by_side_train_as_each_would_alone():
    data, network = from_data(), learning_network()
    rates = np.array([1e-3, 3e-2])

    def trained(rates):
        return fit.fit(
            network, data, rates, params=fit.replicate(network.params, len(rates)),
            updates=5, batch=4, loss=fit.mean_squared_error,
        )  # fmt: skip

    both, alone = trained(rates), [trained(rates[i : i + 1]) for i in range(2)]
    assert np.all(both.losses[0, 1:] != both.losses[1, 1:])
    for i in range(2):
        np.testing.assert_allclose(both.losses[i], alone[i].losses[0], rtol=1e-5)
        for a, b in zip(
            jax.tree.leaves(both.params), jax.tree.leaves(alone[i].params), strict=True
        ):
            np.testing.assert_allclose(a[i], b[0], rtol=1e-3, atol=1e-5)


def from_data():
    from kalmanrnn.diagnostics.training.sequences import make_sequences

    return make_sequences(*making.lagged(n=8, steps=6, lag=1))


def learning_network():
    import jax.numpy as jnp

    from kalmanrnn.diagnostics.training.network import Network

    def step(p, carry, x):
        h = jnp.tanh(x @ p["x"] + carry)
        return h, h @ p["out"]

    rng = np.random.default_rng(0)
    params = {"x": rng.normal(size=(2, 4)), "out": rng.normal(size=(4, 1))}
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
    return Network(step, jnp.zeros(4), params)
