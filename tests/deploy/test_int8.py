"""Weights in eight bits: rounded well, proved like floats, refused where they cost too much."""

import re
import shutil

import jax
import numpy as np
import pytest
from exporting import DIVERGED, OK, case_of, compile_and_load, differences, sanitised, student_of

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.config import RunConfig
from kalmanrnn.core.errors import DATA, USAGE, UserError
from kalmanrnn.data.local_frame import localise
from kalmanrnn.deploy.c import compiled
from kalmanrnn.deploy.c.source_files import render
from kalmanrnn.deploy.int8 import quantise
from kalmanrnn.deploy.int8.calibration import input_moments
from kalmanrnn.deploy.int8.evaluate import GroupErrors, QuantisationResult, format_errors
from kalmanrnn.deploy.verification.checks import verify
from kalmanrnn.evaluation.metrics import Interval
from kalmanrnn.models.student import estimator
from kalmanrnn.training.fit import Progress, TrainedStudent

needs_cc = pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler on this machine"
)
TARGETS = ("portable", "cortex-m")


def test_whole_numbers_are_the_nearest_and_use_all_eight_bits():
    matrix = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    matrix[:, 3] = 0.0
    scale = quantise.column_scales(matrix)
    whole = quantise.quantise_matrix(matrix, scale)
    assert (np.abs(whole).max(axis=0) == np.where(np.arange(20) == 3, 0, 127)).all()
    # Half a step; a thousandth more for the division in float32.
    assert (np.abs(whole * scale - matrix) <= 0.501 * scale).all()


def test_inputs_that_go_together_make_up_for_each_other():
    """What counts is the product: its error falls at least by half where inputs are correlated."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4)) @ rng.normal(size=(4, 32)) + 0.1 * rng.normal(size=(2000, 32))
    matrix = rng.normal(size=(32, 16)).astype(np.float32)
    scale = quantise.column_scales(matrix)

    def error(moments):
        return np.std(x @ (quantise.quantise_matrix(matrix, scale, moments) * scale - matrix))

    assert error(x.T @ x / len(x)) < 0.5 * error(None)


def test_only_matrices_become_bytes(scenario):
    _, params, _ = student_of(scenario("linear"), "gain", layers=2)
    small, scales = quantise.quantise_weights(params, {})
    assert set(scales) == {
        *(f"layers.{i}.{part}.kernel" for i in (0, 1) for part in ("x_map", "h_map")),
        *("head_map.kernel", "out_map.kernel"),
    }
    for before, after in zip(jax.tree.leaves(params), jax.tree.leaves(small), strict=True):
        assert before.shape == after.shape
        assert (np.asarray(before) == np.asarray(after)).all() == (before.ndim == 1)


@pytest.mark.parametrize(("kind", "cell"), [("gain", "lstm"), ("feedback", "gru")])
def test_moments_are_those_of_what_each_weight_is_multiplied_with(scenario, drives, kind, cell):
    sim = scenario("linear")
    student, params, norm = student_of(sim, kind, cell=cell, layers=2)
    some = jax.tree.map(np.asarray, drives("linear", count=2, seconds=6.0))
    found = input_moments(
        TrainedStudent(student, params, norm, Progress(), RunConfig("linear")), some
    )
    assert set(found) == set(quantise.quantise_weights(params, {})[1])
    made = estimator(student, params, norm)
    step, rows, some = jax.jit(made.step), [], localise(sim, some._replace(truth=None))
    for i in range(2):
        carry = made.init(jax.tree.map(lambda a, i=i: a[i], some.belief))
        for e in range(some.t.shape[1]):
            rows.append(np.asarray(carry.memory[0][0]))
            packet = jax.tree.map(lambda a, i=i, e=e: a[i, e], some.packets)
            carry, _ = step(carry, packet)
    x = np.stack(rows).astype(float)
    np.testing.assert_allclose(found["layers.0.h_map.kernel"], x.T @ x / len(x), atol=1e-5)


def test_what_cannot_be_bytes_is_refused(scenario, monkeypatch):
    _, params, _ = student_of(scenario("linear"), "gain")
    monkeypatch.setattr(quantise, "MAX_SIZE", 255)
    with pytest.raises(UserError, match=r"layers.0.h_map.kernel is too large") as caught:
        quantise.quantise_weights(params, {})
    assert "256 numbers" in caught.value.why
    assert caught.value.code == DATA
    broken = jax.tree.map(lambda a: a * np.nan, params)
    with pytest.raises(UserError, match="is not finite"):
        quantise.quantise_weights(broken, {})


CASES = [(t, w, "gain", "lstm", "rover") for t in TARGETS for w in ("float32", "int8")][1:]
CASES += [
    pytest.param("cortex-m", "int8", "gain", "lstm", "imu_gps", marks=pytest.mark.slow),
    ("cortex-m", "int8", "direct", "gru", "rover"),
]
CASES += [
    ("portable", "int8", "feedback", "elman", "linear"),
    ("cortex-m", "float32", "ekf", "", "rover"),
]


@needs_cc
@pytest.mark.parametrize(("target", "weights", "kind", "cell", "name"), CASES)
def test_one_step_equals_jax(scenario, tmp_path, target, weights, kind, cell, name):
    """jax runs with the rounded weights, the C with bytes; odd widths leave tiles unfilled."""
    more = {"cell": cell, "hidden": 11, "layers": 2} if cell else {}
    found = case_of(scenario(name), kind, target=target, weights=weights, **more)
    made = compile_and_load(found.machine, tmp_path)
    worst = differences(made, found.steps)
    assert max(worst.values()) < 1, worst


@needs_cc
@pytest.mark.parametrize("target", TARGETS)
def test_the_weights_are_bytes_and_no_floats_are_left(scenario, target):
    found = case_of(scenario("rover"), "gain", target=target, weights="int8")
    files = render(found.machine)
    weights = files["rover_gain_weights.c"]
    kernels = re.findall(r"^const (\w+) \w*kernel_t\d+\[(\d+)\]", weights, re.MULTILINE)
    assert {kind for kind, _ in kernels} == {"int8_t"}
    labels, constants = found.machine.step.weights, found.machine.step.constants
    sizes = [
        constants[n].size
        for n, label in labels.items()
        if label in quantise.scales_of(found.machine)
    ]
    assert len(sizes) == 4
    assert sorted(int(n) for _, n in kernels) == sorted(sizes)
    assert "weights are bytes, with" in files["rover_gain.h"]
    for text in re.findall(r"int8_t \w+\[\d+\] = \{(.*?)\}", weights, re.DOTALL):
        assert all(abs(int(number)) <= 127 for number in text.split(","))


@needs_cc
@pytest.mark.parametrize("weights", ["int8", pytest.param("float32", marks=pytest.mark.slow)])
def test_sanitisers_find_nothing_in_the_loops_for_a_cortex_m(scenario, tmp_path, weights):
    found = case_of(scenario("rover"), "gain", target="cortex-m", weights=weights)
    lacking = sanitised(found, tmp_path)
    if lacking:
        pytest.skip(lacking)


@needs_cc
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_a_spoilt_memory_is_refused_and_nothing_overflows(scenario, tmp_path, target, bad):
    found = case_of(scenario("rover"), "gain", target=target, weights="int8")
    traps = (
        "-O1",
        "-fsanitize=undefined,float-cast-overflow",
        "-fsanitize-undefined-trap-on-error",
    )
    made = compile_and_load(found.machine, tmp_path, options=traps)
    step = found.steps[5]
    carry = step.carry | {"memory_0_h": np.full_like(step.carry["memory_0_h"], bad)}
    state = compiled.pack_state(made, carry)
    before = state.copy()
    status, _ = compiled.step(made, state, *step.packet)
    if np.isfinite(bad):
        assert status in (OK, DIVERGED)
        assert np.isfinite(state).all()
    else:
        assert status == DIVERGED
        np.testing.assert_array_equal(state, before)


@needs_cc
def test_a_weight_one_step_off_is_seen(scenario, tmp_path):
    found = case_of(scenario("rover"), "gain", target="cortex-m", weights="int8")
    made = compile_and_load(found.machine, tmp_path)
    path = tmp_path / "rover_gain_weights.c"
    text = path.read_text()
    at = re.search(r"out_map_kernel_t\d+\[\d+\] = \{\s*(-?\d+)", text)
    assert at is not None
    path.write_text(f"{text[: at.start(1)]}{int(at[1]) - 1}{text[at.end(1) :]}")
    spoilt = compiled.load_library(
        found.machine, compiled.compile_folder(tmp_path, "rover_gain").rename(tmp_path / "b.so")
    )
    assert max(differences(made, found.steps).values()) < 1
    assert max(differences(spoilt, found.steps).values()) > 1


@needs_cc
@pytest.mark.slow
def test_an_export_in_bytes_reports_its_cost_and_is_verified(linear_run, tmp_path, capsys):
    out = tmp_path / "nav"
    args = ["--weights", "int8", "--target", "cortex-m", "--int8-limit", "1.5", "--format", "c"]
    assert main(["export", str(linear_run), "--out", str(out), *args]) == 0
    report = (out / "REPORT.md").read_text()
    assert "| student in float32 |" in report
    assert "64 test drives" in report
    rows = re.findall(r"^\| (?:position|velocity) \[.*", report, re.MULTILINE)
    assert len(rows) == 2
    for row in rows:
        ours, floats, ukf = (float(cell) for cell in row.split("|")[2:5])
        ratio = float(row.split("|")[5].split()[0])
        assert ratio == pytest.approx(ours / floats, rel=2e-3)
        assert 0 < ukf < 1e3
    assert "written for a cortex-m" in report
    assert all(c.passed for c in verify(out))
    assert "int8_t" in next((out / "c").glob("*_weights.c")).read_text()


def test_bytes_that_cost_too_much_leave_nothing(linear_run, tmp_path, capsys):
    """No rounding halves an error."""
    args = ["--weights", "int8", "--int8-limit", "0.5", "--format", "numpy"]
    assert main(["export", str(linear_run), "--out", str(tmp_path / "nav"), *args]) == DATA
    printed = capsys.readouterr().err
    assert "error: int8 weights raise this student's error to more than 0.5 times" in printed
    assert "64 test drives" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        ("--weights", "int8", "--estimator", "ekf"),
        ("--weights", "int8", "--int8-limit", "0"),
        ("--weights", "int8", "--int8-limit", "nan"),
    ],
)
def test_impossible_wishes_are_refused(linear_run, tmp_path, args, capsys):
    assert main(["export", str(linear_run), "--out", str(tmp_path / "nav"), *args]) == USAGE
    assert capsys.readouterr().err.startswith("error: --")
    assert list(tmp_path.iterdir()) == []


def test_a_loss_is_shown_as_plainly_as_a_win():
    worse, better = Interval(1.5, 1.4, 1.6), Interval(0.9, 0.8, 0.95)
    loss = GroupErrors("gyro_bias", "deg/s", 0.3, 0.2, 0.25, worse, better, better)
    text = format_errors(QuantisationResult(None, {}, (loss,), 64, 60.0, 2.0))  # pyright: ignore
    assert "| gyro bias [deg/s] | 0.3 | 0.2 | 0.25 | 1.500 (1.400 to 1.600) | 0.900" in text
