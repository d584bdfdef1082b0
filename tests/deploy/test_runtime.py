"""An export folder runs with numpy alone, equals jax, and is refused when damaged."""

import hashlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import one

from kalmanrnn.core.config import StudentConfig
from kalmanrnn.data.local_frame import localise
from kalmanrnn.deploy import runtime
from kalmanrnn.deploy.machine.archive import encode_index, serialise_program, write_archive
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import rollout_drive
from kalmanrnn.models.student import blank_normaliser, estimator, make_student


def exported(sim, kind, folder):
    """An exported folder, and the jax estimator that it was made from."""
    if kind in FILTERS:
        write_archive(trace_estimator(kind, sim), folder)
        return FILTERS[kind](sim)
    config = StudentConfig(student=kind, hidden=8, layers=1, head=8)
    student, params = make_student(sim, config, seed=0)
    params = jax.tree.map(lambda a: a + 0.02 * jnp.sin(jnp.arange(a.size)).reshape(a.shape), params)
    norm = blank_normaliser(student)
    norm = norm._replace(
        output_std=jnp.asarray(0.3 * np.asarray(sim.initial_std), jnp.float32),
        innovation_std=jnp.asarray(3 * sim.sigma, jnp.float32),
    )
    write_archive(trace_estimator(student, sim, params=params, norm=norm), folder)
    return estimator(student, params, norm)


@pytest.fixture(scope="module")
def small(scenario, tmp_path_factory):
    """The EKF of `linear`, exported."""
    folder = tmp_path_factory.mktemp("small") / "out"
    exported(scenario("linear"), "ekf", folder)
    return folder


@pytest.fixture
def copied(small, tmp_path):
    """A copy of it, to be damaged."""
    for path in small.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param("imu_gps", "gain", marks=pytest.mark.slow), ("rover", "ukf")],
)
def test_a_folder_follows_a_whole_drive(scenario, drives, tmp_path, name, kind):
    """In closed loop, 100 km from the world's origin; unseen readings are anything, even NaN.

    1e-4 of the state's spread: float32 errors of each step carry over to the next.
    """
    sim = scenario(name)
    made = exported(sim, kind, tmp_path)
    drive = jax.tree.map(np.array, one(drives(name, count=8, seconds=12.0)))
    local = one(localise(sim, jax.tree.map(lambda a: a[None], drive._replace(truth=None))))
    want = np.asarray(jax.jit(lambda d: rollout_drive(made, d).mean)(local))
    far = np.zeros(sim.space.state_dim)
    if sim.origin:
        far[sim.space.state_slice(sim.origin)] = 1e5
        columns = sim.origin_columns >= 0
        drive.packets.z[:, columns] += 1e5
    robot = runtime.load(tmp_path)
    robot.init(drive.belief.mean + far, drive.belief.cov)
    origin = robot._world(np.zeros(sim.space.state_dim))
    found = []
    for z, seen, u, dt in zip(*drive.packets, strict=True):
        z = np.where(sim.mask(seen), z, np.nan)
        found.append(robot.step(z, seen, u[dt > 0], dt[dt > 0]))
    found = np.stack(found) - origin
    scale = np.abs(want).max(axis=0)
    np.testing.assert_allclose(found / scale, want / scale, rtol=0, atol=1e-4)
    assert np.abs(found[-1] - found[0]).max() > 0.1
    if kind in FILTERS:
        assert (np.diag(robot.cov) > 0).all()


def test_what_is_read_is_what_was_traced(scenario, tmp_path):
    """Programs and constants come back bit for bit, in both files."""
    machine = trace_estimator("ukf", scenario("imu_gps"))
    write_archive(machine, tmp_path)
    robot = runtime.load(tmp_path)
    for mine, theirs in ((robot._step_ports, machine.step), (robot._init_ports, machine.init)):
        assert_same(mine, theirs)


def assert_same(mine, theirs):
    assert mine.inputs == theirs.inputs
    assert mine.outputs == theirs.outputs
    assert mine.values == theirs.values
    assert mine.constants.keys() == theirs.constants.keys()
    for number, array in theirs.constants.items():
        assert mine.constants[number].tobytes() == array.tobytes()
    for a, b in zip(mine.ops, theirs.ops, strict=True):
        assert (a.kind, a.inputs, a.outputs, a.source) == (b.kind, b.inputs, b.outputs, b.source)
        assert a.attrs.keys() == b.attrs.keys()
        for key, value in b.attrs.items():
            if key == "body":
                assert_same(a.attrs[key], value)
            else:
                np.testing.assert_array_equal(a.attrs[key], value)


def test_safetensors_hold_the_same(small):
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = safetensors.load_file(small / "weights.safetensors")
    with np.load(small / "weights.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == set(tensors)
        for name in arrays.files:
            assert arrays[name].tobytes() == tensors[name].tobytes()
            assert arrays[name].shape == tensors[name].shape


def test_a_transposed_weight_is_written_as_it_reads(scenario, tmp_path):
    """safetensors writes memory as it lies; a view would come back scrambled."""
    safetensors = pytest.importorskip("safetensors.numpy")
    machine = trace_estimator("ekf", scenario("linear"))
    number, array = next((n, a) for n, a in machine.step.constants.items() if a.ndim >= 2)
    other = np.arange(array.size, dtype=np.float32).reshape(array.shape[::-1]).T
    assert not other.flags.c_contiguous
    step = machine.step._replace(constants=machine.step.constants | {number: other})
    write_archive(machine._replace(step=step), tmp_path)
    tensors = safetensors.load_file(tmp_path / "weights.safetensors")
    assert any(np.array_equal(t, other) for t in tensors.values() if t.shape == other.shape)


def test_the_spec_is_plain_and_whole(small):
    spec = json.loads((small / "spec.json").read_text())
    assert spec["estimator"] == "ekf"
    assert spec["sensors"][0]["columns"][0] == 0
    assert spec["blocks"][-1]["state"][1] == spec["state_dim"]
    assert {p["name"] for p in spec["ports"]["step"]["inputs"]} >= {"z", "seen", "dt"}
    assert spec["programs"]["step"]["ops"]


ALONE = """
import sys
sys.path.insert(0, {folder!r})
import runtime
robot = runtime.load({folder!r})
robot.init([0.0] * robot.spec["state_dim"])
z = [0.5] * robot.spec["sensors"][-1]["columns"][1]
mean = robot.step(z, [True] * len(robot.spec["sensors"]), None, [0.1])
assert mean.any()
loaded = {{m.partition(".")[0] for m in sys.modules}}
print(sorted(loaded & {{"jax", "kalmanrnn", "scipy", "flax"}}))
"""


def test_a_folder_needs_numpy_alone(small):
    """Run from the folder's own file, in a process where kalmanrnn is not on the path."""
    code = ALONE.format(folder=str(small))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_bad_input_changes_nothing(small):
    robot, other = runtime.load(small), runtime.load(small)
    with pytest.raises(ValueError, match="call init"):
        robot.step([0, 0], [True], None, [0.1])
    x, n = np.zeros(robot.spec["state_dim"]), robot.spec["sensors"][-1]["columns"][1]
    flags = [True] * len(robot.spec["sensors"])
    z, dt = np.ones(n), [1 / robot.spec["tick_hz"]]
    for each in (robot, other):
        each.init(x)
        each.step(z, flags, None, dt)
    most = robot.spec["max_ticks"]
    for bad, message in [
        ((np.full(n, np.nan), flags, None, dt), "z is not finite"),
        ((np.full(n, 1e300), flags, None, dt), "z is not finite"),
        ((z[:-1], flags, None, dt), "z must have"),
        ((z, [*flags, True], None, dt), "seen must have"),
        ((z, flags, None, [np.inf]), "dt is not finite"),
        ((z, flags, None, [-0.1]), "negative"),
        ((z, flags, None, [0.01] * (most + 1)), f"at most {most}"),
    ]:
        with pytest.raises(ValueError, match=message):
            robot.step(*bad)
    np.testing.assert_array_equal(robot.step(z, flags, None, dt), other.step(z, flags, None, dt))
    np.testing.assert_array_equal(robot.cov, other.cov)
    with pytest.raises(ValueError, match="mean must have shape"):
        robot.init(x[:-1])
    robot.init(x, -100 * np.eye(robot.spec["tangent_dim"]))
    for _ in range(2):
        # No covariance has a Cholesky factor any more; the state from before is kept.
        with pytest.raises(ValueError, match="estimate is not finite"):
            robot.step(z, flags, None, dt)
        np.testing.assert_array_equal(robot.mean, x)


@pytest.mark.parametrize("name", ["spec.json", "weights.npz"])
def test_a_damaged_file_is_named(copied, name):
    """Missing, empty, cut short, or with any one of some hundred bytes flipped."""
    path = copied / name
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for spot in rng.integers(len(whole) - 1, size=60):
        flipped = bytearray(whole)
        flipped[spot] ^= 1 << int(rng.integers(7))
        path.write_bytes(bytes(flipped))
        with pytest.raises(runtime.Damaged, match=name):
            runtime.load(copied)
    for part in (b"", whole[: len(whole) // 2], b"null", b"[]"):
        path.write_bytes(part)
        with pytest.raises(runtime.Damaged, match=name):
            runtime.load(copied)
    path.unlink()
    with pytest.raises(runtime.Damaged, match=name):
        runtime.load(copied)


def forged(folder, change):
    """Change the spec and make its checksum fit again, as an attacker would."""
    spec = json.loads((folder / "spec.json").read_text())
    change(spec)
    spec["sha256"] = runtime.digest(spec)
    (folder / "spec.json").write_text(json.dumps(spec))


def test_a_forged_program_is_refused_and_never_executed(copied):
    def astray(spec):
        op = next(op for op in spec["programs"]["step"]["ops"] if op[0] == "take")
        size = np.prod(spec["programs"]["step"]["values"][str(op[2][0])][0], dtype=int)
        op[3]["index"] = [-1] * int(size)

    def unknown(spec):
        spec["programs"]["step"]["ops"][0][0] = "__import__('os').abort()"

    def early(spec):
        spec["programs"]["step"]["ops"].reverse()

    def huge(spec):
        op = next(op for op in spec["programs"]["step"]["ops"] if op[0] == "take")
        op[3]["index"] = {"runs": [0, 0, 10**12]}

    good = (copied / "spec.json").read_bytes()
    for change in (astray, unknown, early, huge):
        (copied / "spec.json").write_bytes(good)
        forged(copied, change)
        with pytest.raises(runtime.Damaged, match=r"spec\.json"):
            runtime.load(copied)


def test_pickled_weights_are_refused(copied):
    """And what is no archive at all, though its checksum fits."""
    path = copied / "weights.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays[next(iter(arrays))] = np.array([print], object)
    np.savez(path, **arrays)
    for content in (path.read_bytes(), b"PK\x03\x04 no archive", b"plain words"):
        path.write_bytes(content)
        sha = hashlib.sha256(content).hexdigest()
        forged(copied, lambda spec, sha=sha: spec["files"].update({"weights.npz": sha}))
        with pytest.raises(runtime.Damaged, match=r"weights\.npz"):
            runtime.load(copied)


@pytest.mark.parametrize(
    "index",
    [
        np.arange(1000).reshape(20, 50).T.reshape(-1),
        np.random.default_rng(0).integers(10**6, size=500),
        np.zeros(400, int),
        np.array([3, 1, 2]),
        np.repeat(np.arange(7), 9)[::-1],
    ],
)
def test_an_index_comes_back(index):
    data = json.loads(json.dumps(encode_index(index)))
    np.testing.assert_array_equal(runtime._index(data, index.size), index)
    assert len(json.dumps(data)) <= 6 * index.size + 20


def test_two_weights_of_one_name_are_both_kept(scenario):
    machine = trace_estimator("ekf", scenario("linear"))
    arrays = {}
    serialise_program(machine.step, "step", arrays)
    serialise_program(machine.step._replace(name="other"), "other", arrays)
    assert len(arrays) >= 2 * len(machine.step.constants)
