"""Faults planted in the shared list of operations are caught in numpy's and ONNX's forms."""

import numpy as np
import pytest
from exporting import case_of, student_of

from kalmanrnn.deploy.machine import archive
from kalmanrnn.deploy.verification import test_vectors
from kalmanrnn.deploy.verification.backends import ONNX, numpy_backend, onnx_backend
from kalmanrnn.deploy.verification.checks import VECTORS, compare, verify
from kalmanrnn.models.student import estimator

EVENTS = 48


@pytest.fixture(scope="module")
def sound(scenario):
    """A machine, and some events that jax took."""
    sim = scenario("rover")
    machine = case_of(sim, "gain").machine
    student, params, norm = student_of(sim, "gain")
    known = test_vectors.record_vectors(machine, lambda: estimator(student, params, norm), sim)
    few = known._replace(
        inputs={name: a[:EVENTS] for name, a in known.inputs.items()},
        outputs={name: a[:EVENTS] for name, a in known.outputs.items()},
        exact=known.exact[:EVENTS],
        starts=known.starts[:EVENTS],
    )
    return machine, few, known


def weight(name, change):
    """Change one weight."""

    def planted(step):
        [number] = [n for n, label in step.weights.items() if label == name]
        old = step.constants[number]
        new = np.ascontiguousarray(change(old.reshape(old.shape[-2:])), np.float32)
        return step._replace(constants=step.constants | {number: new.reshape(old.shape)})

    return planted


def operation(kind, change, which=-1):
    """Change one operation of a kind, the last by default."""

    def planted(step):
        at = [i for i, op in enumerate(step.ops) if op.kind == kind][which]
        ops = list(step.ops)
        ops[at] = change(ops[at])
        return step._replace(ops=tuple(ops))

    return planted


def swapped(op):
    return op._replace(inputs=op.inputs[::-1])


def one_turn_less(op):
    """Walk over one tick less: the last rows of what is walked are never read."""
    return op._replace(attrs=op.attrs | {"length": op.attrs["length"] - 1})


def six_digits(step):
    cut = {
        n: np.array([float(f"{v:.5g}") for v in a.ravel()], np.float32).reshape(a.shape)
        if a.dtype == np.float32
        else a
        for n, a in step.constants.items()
    }
    return step._replace(constants=cut)


def gates(kernel):
    i, f, g, o = np.split(kernel, 4, axis=-1)
    return np.concatenate([f, i, g, o], axis=-1)


def index_rolled(op):
    return op._replace(attrs={"index": np.roll(op.attrs["index"], 1)})


FAULTS = {
    "gates swapped": weight("layers.0.h_map.kernel", gates),
    "kernel transposed": weight("head_map.kernel", np.transpose),
    "no bias": weight("layers.0.x_map.bias", np.zeros_like),
    "innovations not normalised": weight("norm.innovation_std", np.ones_like),
    "features not normalised": weight("norm.feature_std", np.ones_like),
    "outputs not scaled": weight("norm.output_std", np.ones_like),
    "one weight a thousandth off": weight(
        "out_map.kernel", lambda a: a * (1 + 1e-3 * (a == a.max()))
    ),
    "numbers of five digits": six_digits,
    "innovation's sign": operation("sub", swapped, 0),
    "tanh left out": operation("tanh", lambda op: op._replace(kind="abs")),
    "a logistic for a tanh": operation("tanh", lambda op: op._replace(kind="logistic"), 0),
    "choice the wrong way round": operation(
        "select", lambda op: op._replace(inputs=(op.inputs[0], *op.inputs[:0:-1]))
    ),
    "an index off by one": operation("take", index_rolled),
    "a tick too few": operation("loop", one_turn_less),
}


def holds(machine, known, folder, form):
    archive.write_archive(machine, folder)
    if form is onnx_backend:
        from kalmanrnn.deploy.onnx.model import write_onnx

        (folder / ONNX).mkdir()
        write_onnx(machine, folder / ONNX)
    return compare(form(folder, machine), machine, known).passed


def test_nothing_planted_nothing_found(sound, tmp_path):
    machine, few, _ = sound
    assert holds(machine, few, tmp_path, numpy_backend)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_operations_is_caught(sound, tmp_path, fault):
    machine, few, _ = sound
    spoilt = machine._replace(step=FAULTS[fault](machine.step))
    assert not holds(spoilt, few, tmp_path, numpy_backend)


@pytest.mark.parametrize("fault", ["gates swapped", "innovation's sign", "numbers of five digits"])
def test_and_in_onnx(sound, tmp_path, fault):
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    machine, few, _ = sound
    spoilt = machine._replace(step=FAULTS[fault](machine.step))
    assert not holds(spoilt, few, tmp_path, onnx_backend)


def test_verify_finds_it_in_a_folder(sound, tmp_path):
    machine, _, known = sound
    for name, made in (("sound", machine), ("spoilt", None)):
        spoilt = machine._replace(step=FAULTS["gates swapped"](machine.step))
        archive.write_archive(made or spoilt, tmp_path / name)
        test_vectors.save_vectors(tmp_path / name / VECTORS, known)
    assert [c.passed for c in verify(tmp_path / "sound")] == [True]
    assert [c.passed for c in verify(tmp_path / "spoilt")] == [False]
