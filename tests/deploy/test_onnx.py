"""A machine's ONNX models are its steps, with their names and facts."""

import json
import sys
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT, one

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.core.errors import MISSING, UserError
from kalmanrnn.deploy.machine.machine import PACKET, trace_estimator
from kalmanrnn.deploy.onnx import sequence_model as onnx_sequence
from kalmanrnn.deploy.onnx.model import init_model, open_session, step_model, write_onnx
from kalmanrnn.deploy.onnx.sequence_model import sequence_model, write_sequence
from kalmanrnn.deploy.verification import test_vectors
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.models.student import (
    blank_normaliser,
    estimator,
    init,
    make_features,
    make_student,
    step,
)

pytest.importorskip("onnx", reason="the extra `export` is not installed")
EXAMPLES = ROOT / "examples"
pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


@lru_cache
def student_of(sim, kind="gain"):
    """A student of random weights; jax need not compile what would start them."""
    config, made = StudentConfig(student=kind, hidden=8, layers=2), []

    def start():
        student, params = make_student(sim, config, seed=0)
        made.append(student)
        return params

    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(start)
    params = jax.tree.map(lambda a: rng.normal(size=a.shape, scale=0.3).astype(a.dtype), shapes)
    params = jax.tree.map(jnp.asarray, params)
    norm = blank_normaliser(made[0])
    n = norm.feature_mean.size
    norm = norm._replace(feature_mean=np.linspace(-0.2, 0.3, n, dtype=np.float32))
    norm = norm._replace(feature_std=np.linspace(1, 3, n, dtype=np.float32))
    return made[0], params, norm


@lru_cache
def exported(sim, kind):
    """(machine, function that makes the estimator anew) of a kind of student or filter."""
    if kind in FILTERS:
        return trace_estimator(kind, sim), lambda: FILTERS[kind](sim)
    student, params, norm = student_of(sim, kind)
    machine = trace_estimator(student, sim, params=params, norm=norm)
    return machine, lambda: estimator(student, params, norm)


def as_float32(tree):
    return jax.tree.map(lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a, tree)


CASES = [(name, kind) for name in ("linear", "rover") for kind in ("gain", "ekf", "ukf")]
CASES += [("rover", "feedback"), ("imu_gps", "direct")]
CASES += [pytest.param("imu_gps", kind, marks=pytest.mark.slow) for kind in ("gain", "ekf", "ukf")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_step_is_jaxs(scenario, name, kind):
    """Fed the recorded carry; the limit is four times what float32 costs jax itself."""
    sim = scenario(name)
    machine, make = exported(sim, kind)
    known = test_vectors.record_vectors(machine, make, sim)
    session = open_session(step_model(machine).SerializeToString())
    rows = []
    for i in range(len(known.starts)):
        fed = {p.name: known.inputs[p.name][i, ...] for p in machine.step.inputs}
        fed = {k if k in PACKET else f"{k}_in": np.asarray(a) for k, a in fed.items()}
        rows.append(session.run(None, fed | {"n_ticks": np.array([np.count_nonzero(fed["dt"])])}))
    for i, port in enumerate(machine.step.outputs):
        ours, wanted = np.stack([row[i] for row in rows]), known.outputs[port.name]
        assert ours.shape == wanted.shape
        apart = np.abs(ours - wanted) / known.scale[port.name]
        assert apart.max() <= known.limit(port.name), port.name


@pytest.mark.parametrize("kind", ["gain", "ekf"])
def test_a_free_run_of_written_files_follows_jax(scenario, drives, tmp_path, kind):
    """1e-5 of the scale: the roundings of eight events; untrained students forget nothing."""
    sim = scenario("rover")
    drive = as_float32(one(drives("rover", count=8, seconds=12.0)))
    machine, make = exported(sim, kind)
    paths = write_onnx(machine, tmp_path)
    assert [p.name for p in paths] == [f"{machine.name}.onnx", f"{machine.name}_init.onnx"]
    step, init = (open_session(path) for path in paths)
    jitted = jax.jit(make().step)
    carry = make().init(drive.belief)
    known = {port.name for port in init.get_inputs()}
    feeds = {k: v for k, v in drive.belief._asdict().items() if k in known}
    ours = dict(zip([p.name for p in init.get_outputs()], init.run(None, feeds), strict=True))
    for i in range(8):
        packet = jax.tree.map(lambda a, i=i: a[i], drive.packets)
        carry, estimate = jitted(carry, packet)
        fed = {k.replace("_out", "_in"): v for k, v in ours.items() if k.endswith("_out")}
        fed |= packet._asdict() | {"n_ticks": np.array([np.count_nonzero(packet.dt)])}
        ours = dict(zip([p.name for p in step.get_outputs()], step.run(None, fed), strict=True))
        np.testing.assert_allclose(
            ours["mean"], estimate.mean, atol=1e-5 * np.abs(estimate.mean).max()
        )


def test_ports_bear_their_names_and_the_facts_lie_inside(scenario):
    machine, _ = exported(scenario("imu_gps"), "gain")
    model = step_model(machine)
    assert model.ir_version == 8
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    names = [port.name for port in model.graph.input]
    assert names[-5:] == ["z", "seen", "u", "dt", "n_ticks"]
    assert {"x_in", "memory_0_h_in", "memory_1_c_in", "since_in"} <= set(names)
    outputs = [port.name for port in model.graph.output]
    assert outputs == [n.replace("_in", "_out") for n in names[:-5]] + ["mean"]
    assert [p.name for p in init_model(machine).graph.output] == outputs[:-1]
    (facts,) = (json.loads(p.value) for p in model.metadata_props)
    assert facts == json.loads(json.dumps(machine.spec))
    weights = {w.name for w in model.graph.initializer}
    assert set(machine.step.weights.values()) <= weights
    assert {n.op_type for n in model.graph.node} & {"Cholesky", "LSTM", "Custom"} == set()
    sources = {n.doc_string for n in model.graph.node if n.op_type == "Loop"}
    assert any("propagation.py" in s or "imu_gps.py" in s for s in sources)


def test_the_same_machine_is_written_the_same(scenario, tmp_path):
    for folder in ("a", "b"):
        write_onnx(trace_estimator("ekf", scenario("linear")), tmp_path / folder)
    first, again = ((tmp_path / f / "linear_ekf.onnx").read_bytes() for f in ("a", "b"))
    assert first == again


def test_swapped_gates_are_noticed(scenario, monkeypatch):
    """The comparison below must be able to fail: ours are not the gates of ONNX."""
    student, params, norm = student_of(scenario("rover"), "direct")
    models = [sequence_model("direct", student, params, norm, {})]
    monkeypatch.setattr(onnx_sequence, "GATE_ORDER", (0, 1, 2, 3))
    models.append(sequence_model("direct", student, params, norm, {}))
    rng = np.random.default_rng(0)
    fed = {"features": rng.normal(size=(5, norm.feature_mean.size)).astype(np.float32)}
    found = []
    for session in (open_session(model.SerializeToString()) for model in models):
        memory = {p.name: np.zeros(p.shape, np.float32) for p in session.get_inputs()[1:]}
        found.append(session.run(["mean"], fed | memory)[0])
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_padding_ticks_need_not_run(scenario, drives):
    sim = scenario("imu_gps")
    machine, _ = exported(sim, "gain")
    session = open_session(step_model(machine).SerializeToString())
    rng = np.random.default_rng(0)
    fed = {}
    for port in session.get_inputs():
        numbers = rng.normal(size=port.shape)
        fed[port.name] = numbers > -9 if "bool" in port.type else numbers.astype(np.float32)
    fed["x_in"] = sim.space.identity().astype(np.float32)
    fed["dt"] = np.where(np.arange(len(fed["dt"])) < 7, 0.01, 0).astype(np.float32)
    fed["u"][7:] = 0
    few, all_of_them = (session.run(None, fed | {"n_ticks": np.array([n])}) for n in (7, 20))
    for a, b in zip(few, all_of_them, strict=True):
        # A quaternion is brought back to length one in each tick, of no time too.
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def direct_run(student, params, norm, drive):
    """Features `[E, F]` and estimates `[E, X]` of a direct student, event by event."""

    @jax.jit
    def both(carry, packet):
        features, _ = make_features(student, norm, carry, packet.z, packet.seen)
        return features, step(student, params, norm, carry, packet)

    carry, rows = init(student, params, norm, drive.belief), []
    for i in range(len(drive.t)):
        features, (carry, estimate) = both(carry, jax.tree.map(lambda a, i=i: a[i], drive.packets))
        rows.append((features, estimate.mean))
    return tuple(np.stack(a) for a in zip(*rows, strict=True))


@pytest.mark.parametrize("name", ["rover", "imu_gps"])
def test_a_sequence_is_the_steps_one_after_another(scenario, drives, tmp_path, name):
    """1e-5: onnxruntime's LSTM has approximations of its own, and a memory."""
    sim = scenario(name)
    drive = as_float32(one(drives(name, count=8, seconds=12.0)))
    student, params, norm = student_of(sim, "direct")
    path = write_sequence("direct", student, params, norm, {"name": "direct"}, tmp_path)
    session = open_session(path)
    features, wanted = direct_run(student, params, norm, drive)
    spec = json.loads(session.get_modelmeta().custom_metadata_map["kalmanrnn_spec"])
    assert len(spec["features"]) == features.shape[1]
    memory = {p.name: np.zeros(p.shape, np.float32) for p in session.get_inputs()[1:]}
    names = [p.name for p in session.get_outputs()]
    means = []
    # In two pieces: the memory goes from one to the next.
    for piece in (features[:5], features[5:]):
        found = dict(zip(names, session.run(None, {"features": piece} | memory), strict=True))
        means.append(found.pop("mean"))
        memory = {k.replace("_out", "_in"): v for k, v in found.items()}
    scale = np.maximum(np.abs(wanted).max(axis=0), 1.0)
    np.testing.assert_allclose(np.concatenate(means) / scale, wanted / scale, atol=1e-5)


def test_no_sequence_of_others(scenario):
    with pytest.raises(UserError, match="no sequence model of a gain student"):
        sequence_model("x", *student_of(scenario("rover")), {})


def test_missing_packages_are_named(scenario, monkeypatch):
    machine, _ = exported(scenario("linear"), "ekf")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="cannot write ONNX") as caught:
        step_model(machine)
    assert caught.value.code == MISSING
    assert "kalmanrnn[export]" in caught.value.cure
