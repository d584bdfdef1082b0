"""An export is written verified or not at all, and can be verified again."""

import re
import shutil

import numpy as np
import pytest
from helpers import SMALL_RUN

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.errors import DATA, DIVERGED, MISSING, USAGE, UserError
from kalmanrnn.deploy import export_folder
from kalmanrnn.deploy.c import compiled
from kalmanrnn.deploy.verification.checks import verify
from kalmanrnn.deploy.verification.test_vectors import load_vectors, port_scale, save_vectors

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc")), reason="there is no C compiler"
)
TEXTS = ("VERIFIED.txt", "README.md", "REPORT.md")


@pytest.fixture(scope="module")
def exported(linear_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "nav"
    assert main(["export", str(linear_run), "--out", str(out), "--format", "numpy", "c"]) == 0
    return out


@pytest.fixture
def copy(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "nav")
    return tmp_path / "nav"


def test_an_export_has_everything_and_can_be_verified_again(exported, capsys):
    for name in ("spec.json", "weights.npz", "runtime.py", "vectors.npz", *TEXTS):
        assert (exported / name).stat().st_size > 0
    assert {p.suffix for p in (exported / "c").iterdir()} >= {".c", ".h", ".hpp", ".txt"}
    assert main(["verify", str(exported)]) == 0
    printed = capsys.readouterr().out
    assert "C99" in printed
    assert "288" in printed
    assert not list(exported.parent.glob(".*part"))


@pytest.mark.parametrize("kind", ["ekf", pytest.param("ukf", marks=pytest.mark.slow)])
def test_filters_go_the_same_way(linear_run, kind, tmp_path):
    out = tmp_path / kind
    args = ["--out", str(out), "--estimator", kind, "--format", "c"]
    assert main(["export", str(linear_run), *args]) == 0
    assert (out / "c" / f"linear_{kind}.c").exists()


def test_a_fault_in_the_c_is_found(copy, capsys):
    source = copy / "c" / "linear_gain_weights.c"
    text = source.read_text()
    numbers = re.findall(r"-?\d\.\d{5,}(?:e-?\d+)?f", text)
    # One weight, a thousandth off.
    value = numbers[len(numbers) // 2]
    source.write_text(text.replace(value, f"{float(value[:-1]) * 1.001:.9g}f", 1))
    assert main(["verify", str(copy)]) == DATA
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["weights.npz", "spec.json", "vectors.npz"])
def test_a_damaged_export_is_refused(copy, name, capsys):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 0x55
    (copy / name).write_bytes(bytes(data))
    assert main(["verify", str(copy)]) == DATA
    printed = capsys.readouterr().err
    assert printed.startswith("error:")
    assert printed.count("\n") == 3
    (copy / name).unlink()
    assert main(["verify", str(copy)]) == DATA
    assert "Traceback" not in capsys.readouterr().err


def test_nothing_is_left_where_a_form_differs(linear_run, tmp_path, monkeypatch, capsys):
    def faulty(machine, where, recorded=None):
        made = emit(machine, where, recorded)
        for path in where.glob("*_weights.c"):
            path.write_text(re.sub(r"(\d\.\d)\d{4,}f", r"\1f", path.read_text()))
        return made

    emit = export_folder.source_files.write_sources
    monkeypatch.setattr(export_folder.source_files, "write_sources", faulty)
    out = tmp_path / "nav"
    assert main(["export", str(linear_run), "--out", str(out), "--format", "c"]) == DATA
    assert "C99 differs from jax" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_compiler_is_reported_and_passes_nothing(exported, monkeypatch):
    def none():
        raise UserError("there is no C compiler", why="none", cure="apt", code=MISSING)

    monkeypatch.setattr(compiled, "find_compiler", none)
    checks = {c.backend: c.passed for c in verify(exported)}
    assert checks["c"] is None
    assert checks["numpy (runtime.py)"] is True


def test_impossible_wishes_are_refused(linear_run, exported, tmp_path, capsys):
    assert main(["export", str(linear_run), "--out", str(exported)]) == USAGE
    assert "already exists" in capsys.readouterr().err
    out = str(tmp_path / "x")
    assert main(["export", str(linear_run), "--out", out, "--format", "rust"]) == USAGE
    assert "unknown format 'rust'" in capsys.readouterr().err
    assert main(["export", str(linear_run), "--out", str(tmp_path / "a" / "b")]) == USAGE
    assert "mkdir -p" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), "--out", out]) == USAGE
    assert main(["verify", str(tmp_path)]) == DATA
    assert "not an export folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"formats": "rust"}, "unknown format 'rust'"),
        ({"weights": "int4"}, "unknown weights 'int4'"),
        ({"target": "avr"}, "unknown target 'avr'"),
        ({"max_ticks": 0}, "--max-ticks must be positive"),
        ({"weights": "int8"}, "--weights int8 does not go with"),
        ({"scenario": None}, "the filter ekf needs a scenario"),
    ],
)
def test_options_that_do_not_fit_leave_no_folder(scenario, tmp_path, options, what):
    """In Python as on the command line, before anything is traced."""
    with pytest.raises(UserError) as caught:
        export_folder.export("ekf", tmp_path / "nav", **{"scenario": scenario("linear")} | options)
    assert caught.value.what.startswith(what)
    assert list(tmp_path.iterdir()) == []


def test_vectors_hold_what_they_promise(exported, tmp_path):
    v = load_vectors(exported / "vectors.npz")
    assert len(v.starts) >= 256
    # The first drive's beginning, and two resets.
    assert v.starts.sum() == 3
    assert 0.05 < 1 - v.inputs["seen"].mean() < 0.3
    for name, scale in v.scale.items():
        assert scale.shape == v.outputs[name].shape[1:]
        assert v.rounding[name] < 1e-4
    save_vectors(tmp_path / "again.npz", v)
    again = load_vectors(tmp_path / "again.npz")
    np.testing.assert_array_equal(again.outputs["mean"], v.outputs["mean"])
    assert again.rounding == v.rounding


@pytest.mark.slow
def test_a_student_of_ticks_goes_the_same_way(tmp_path):
    out = tmp_path / "run"
    args = ["--every", "tick", "--set", "tick_hz=20.0", "--out", str(out)]
    assert main(["train", *SMALL_RUN, *args]) == 0
    assert main(["export", str(out), "--out", str(tmp_path / "nav"), "--format", "c"]) == 0


@pytest.mark.slow
def test_a_direct_student_of_whole_drives_is_written_and_proved(tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    run, nav = tmp_path / "run", tmp_path / "nav"
    assert main(["train", *SMALL_RUN, "--student", "direct", "--out", str(run)]) in (0, DIVERGED)
    assert main(["export", str(run), "--out", str(nav), "--format", "onnx"]) == 0
    assert (nav / "onnx" / "linear_direct_sequence.onnx").exists()
    [found] = [c for c in verify(nav) if c.backend == "ONNX, sequence"]
    assert found.passed
    assert found.events == 288
    # Whole drives at once stay as near to jax as jax in float32 to itself in float64, tenfold.
    assert found.drift < 10 * max(found.reference_drift, 1e-6)
    v = load_vectors(nav / "vectors.npz")
    features = v.inputs["features"].copy()
    features[100, 0] += 1e-2
    save_vectors(nav / "vectors.npz", v._replace(inputs=v.inputs | {"features": features}))
    assert [c.backend for c in verify(nav) if c.passed is False] == ["ONNX, sequence"]


def test_a_unit_that_stays_shut_is_held_to_a_tenth_of_the_largest():
    """It is made of terms as large as one, and cannot be exact in units of its own size."""
    h = np.array([[0.01, -0.9], [0.02, 0.5]])
    np.testing.assert_allclose(port_scale(h, memory=True), [0.09, 0.9])
    np.testing.assert_allclose(port_scale(h), [0.02, 0.9])
    c = np.array([[0.01, 30.0]])
    np.testing.assert_allclose(port_scale(c, memory=True), [0.1, 30.0])
