"""Generated C equals JAX, refuses invalid arguments, and a planted fault is found."""

import ctypes
import re
import shutil
import subprocess
from functools import cache

import numpy as np
import pytest
from exporting import (
    DIVERGED,
    NOT_FINITE,
    NULL,
    OK,
    TICKS,
    TIME,
    case_of,
    compile_and_load,
    differences,
    sanitised,
    scales,
)
from helpers import ROOT

from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.c import compiled, math_functions, source_files
from kalmanrnn.deploy.c.index import affine, find_nest
from kalmanrnn.deploy.c.selftest import record_selftest
from kalmanrnn.deploy.c.tree import literal
from kalmanrnn.filters.kinds import FILTERS

HAVE_CC = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(not HAVE_CC, reason="no C compiler on this machine")


@pytest.fixture(scope="module")
def case(scenario):
    """(kind, name) -> a `Case`, made once."""
    return cache(lambda kind, name: case_of(scenario(name), kind))


@pytest.fixture(scope="module")
def built(case, tmp_path_factory):
    """(kind, name) -> the case and its library, made once."""

    @cache
    def make(kind, name):
        found = case(kind, name)
        recorded = record_selftest(found.estimator, found.drive)
        return found, compile_and_load(found.machine, tmp_path_factory.mktemp("c"), recorded)

    return make


STUDENTS = [("gain", "linear"), ("gain", "rover"), ("gain", "imu_gps")]
STUDENTS += [(kind, "rover") for kind in ("residual", "delta", "feedback", "direct")]
FILTERED = [(kind, name) for kind in FILTERS for name in ("linear", "rover")]
LARGE = [pytest.param(kind, "imu_gps", marks=pytest.mark.slow) for kind in FILTERS]


@pytest.mark.parametrize(("kind", "name"), [*STUDENTS, *FILTERED, *LARGE])
def test_one_step_equals_jax(built, kind, name):
    found, made = built(kind, name)
    worst = differences(made, found.steps)
    assert max(worst.values()) < 1, worst


@pytest.mark.parametrize(("kind", "name"), [("gain", "imu_gps"), ("ekf", "rover")])
def test_a_rollout_stays_with_jax_and_the_selftest_passes(built, kind, name):
    """1e-5 of the scale: rounding errors of 24 events add up in the state."""
    found, made = built(kind, name)
    status, state = compiled.init(made, *found.drive.belief)
    scale = scales(found.steps)["mean"]
    for step in found.steps:
        status, outputs = compiled.step(made, state, *step.packet)
        assert status == OK
        np.testing.assert_allclose(outputs["mean"] / scale, step.after["mean"] / scale, atol=1e-5)
    assert getattr(made.library, f"{made.name}_selftest")() == OK


def test_two_robots_do_not_meddle_and_a_restart_forgets(built):
    found, made = built("gain", "rover")

    def alone(packets):
        _, state = compiled.init(made, found.drive.belief.mean)
        return [compiled.step(made, state, *p)[1]["mean"] for p in packets]

    packets = [step.packet for step in found.steps]
    expected, other = alone(packets), alone(packets[::-1])
    _, a = compiled.init(made, found.drive.belief.mean)
    _, b = compiled.init(made, found.drive.belief.mean)
    for i, (p, q) in enumerate(zip(packets, packets[::-1], strict=True)):
        assert (compiled.step(made, a, *p)[1]["mean"] == expected[i]).all()
        assert (compiled.step(made, b, *q)[1]["mean"] == other[i]).all()
    _, a = compiled.init(made, found.drive.belief.mean)
    assert (compiled.step(made, a, *packets[0])[1]["mean"] == expected[0]).all()


def test_ticks_past_the_last_are_never_read(built):
    found, made = built("gain", "rover")
    step = found.steps[3]
    z, seen, u, dt = (np.array(a) for a in step.packet)
    few = compiled.pack_state(made, step.carry)
    _, outputs = compiled.step(made, few, z, seen, u[:2], dt[:2])
    u[2:], dt[2:] = np.nan, np.nan
    poisoned = compiled.pack_state(made, step.carry)
    status, again = compiled.step(made, poisoned, z, seen, u, dt, n_ticks=2)
    assert status == OK
    assert (poisoned == few).all()
    assert (again["mean"] == outputs["mean"]).all()
    u[2:], dt[2:] = 0, 0
    padded = compiled.pack_state(made, step.carry)
    assert compiled.step(made, padded, z, seen, u, dt)[0] == OK
    # A tick of no length leaves the state; an angle goes through one more rounding.
    np.testing.assert_allclose(padded, few, atol=1e-6)


@pytest.mark.parametrize("options", [("-O2",), ("-O3", "-ffast-math")])
def test_what_is_not_finite_is_refused_before_anything_changes(case, tmp_path, options):
    found = case("gain", "rover")
    made = compile_and_load(found.machine, tmp_path, options=options)
    step = found.steps[3]
    before = compiled.pack_state(made, step.carry)
    for bad in (np.nan, np.inf, -np.inf):
        for which in (0, 2, 3):
            for at in range(step.packet[which].size):
                packet = [np.array(a) for a in step.packet]
                packet[which].flat[at] = bad
                state = before.copy()
                assert compiled.step(made, state, *packet)[0] == NOT_FINITE
                assert (state == before).all()
        for given in ((np.full(3, bad), None), (np.zeros(3), np.full((3, 3), bad))):
            assert compiled.init(made, *given)[0] == NOT_FINITE


@pytest.mark.parametrize(("kind", "name"), [("gain", "rover"), ("ekf", "rover"), ("ukf", "linear")])
def test_absurd_numbers_leave_a_finite_state(built, kind, name):
    found, made = built(kind, name)
    step = found.steps[3]
    before = compiled.pack_state(made, step.carry)
    seen_statuses = set()
    for which in (0, 2, 3):
        for at in range(step.packet[which].size):
            packet = [np.array(a) for a in step.packet]
            packet[which].flat[at] = 1e30
            state = before.copy()
            status, _ = compiled.step(made, state, *packet)
            seen_statuses.add(status)
            assert np.isfinite(state).all()
            assert status == OK or (state == before).all()
    assert seen_statuses <= {OK, DIVERGED}


def test_a_spoilt_state_is_refused(built):
    found, made = built("gain", "rover")
    state = np.full(sum(size for _, size in made.carry), np.nan, np.float32)
    assert compiled.step(made, state, *found.steps[0].packet)[0] == DIVERGED


def test_wrong_arguments_have_their_status(built):
    found, made = built("gain", "rover")
    z, seen, u, dt = found.steps[0].packet
    state = compiled.pack_state(made, found.steps[0].carry)
    assert compiled.step(made, state, z, seen, u, dt, n_ticks=-1)[0] == TICKS
    assert compiled.step(made, state, z, seen, u, dt, n_ticks=made.sizes.ticks + 1)[0] == TICKS
    assert compiled.step(made, state, z, seen, u, -np.asarray(dt))[0] == TIME
    step = getattr(made.library, f"{made.name}_step")
    init = getattr(made.library, f"{made.name}_init")
    room = ctypes.create_string_buffer(4096)
    whole = [room] * 5 + [ctypes.c_int(1), room]
    for missing in (0, 1, 2, 3, 4, 6):
        assert step(*[None if i == missing else a for i, a in enumerate(whole)]) == NULL
    assert init(None, room, None) == NULL
    assert init(room, None, None) == NULL


LARGE_SANITISED = [("gain", "imu_gps"), ("ukf", "rover")]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("gain", "rover"), *(pytest.param(*a, marks=pytest.mark.slow) for a in LARGE_SANITISED)],
)
def test_sanitisers_find_nothing(case, tmp_path, kind, name):
    lacking = sanitised(case(kind, name), tmp_path)
    if lacking:
        pytest.skip(lacking)


def test_the_text_keeps_to_what_small_robots_allow(case, tmp_path):
    found = case("gain", "imu_gps")
    source_files.write_sources(
        found.machine, tmp_path, record_selftest(found.estimator, found.drive)
    )
    label = found.machine.name
    for path in tmp_path.glob("*.c"):
        text = path.read_text()
        assert not re.search(r"\b(malloc|free|double|goto|while|printf)\b", text), path
        assert set(re.findall(r"#include <(\S+)>", text)) <= {"math.h", "stdint.h", "string.h"}
        place = str(path.with_suffix(".o"))
        flags = ["-std=c99", "-O2", "-fno-pic", "-fno-pie", "-c", str(path), "-o", place]
        subprocess.run([compiled.find_compiler(), *flags], check=True)
        listed = subprocess.run(["nm", place], capture_output=True, text=True, check=True)
        changing = [line for line in listed.stdout.splitlines() if re.search(r" [bBdDC] ", line)]
        assert not changing
    head = (tmp_path / f"{label}.h").read_text()
    assert found.machine.spec["weights"]["sha256"] in head
    assert f"{label.upper()}_MEAN_POSITION_X = 7" in head
    assert f"{label.upper()}_U_" in head


def test_the_folder_builds_with_cmake_and_the_class_with_a_cpp_compiler(case, tmp_path):
    if not (shutil.which("cmake") and shutil.which("c++")):
        pytest.skip("no cmake or no C++ compiler on this machine")
    found = case("gain", "rover")
    source_files.write_sources(
        found.machine, tmp_path / "src", record_selftest(found.estimator, found.drive)
    )
    run = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    subprocess.run(["cmake", "-S", "src", "-B", "out"], **run)
    subprocess.run(["cmake", "--build", "out"], **run)
    subprocess.run(["ctest", "--test-dir", "out"], **run)
    (tmp_path / "main.cpp").write_text(
        '#include "rover_gain.hpp"\n'
        "int main() { rover_gain_cpp::Estimator e; return e.init({}) + e.selftest(); }\n"
    )
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-Isrc", "main.cpp"]
    subprocess.run(["c++", *flags, "out/librover_gain.a", "-o", "main"], **run)
    subprocess.run(["./main"], **run)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    ("kind", "target", "weights"),
    [("gain", "portable", "float32"), ("gain", "cortex-m", "int8"), ("ukf", "cortex-m", "float32")],
)
def test_no_compiler_warns(scenario, tmp_path, monkeypatch, compiler, kind, target, weights):
    """-O2, and every warning that `STRICT` names is an error."""
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} on this machine")
    found = case_of(scenario("rover"), kind, target=target, weights=weights)
    monkeypatch.setenv("CC", compiler)
    made = compile_and_load(found.machine, tmp_path, record_selftest(found.estimator, found.drive))
    assert getattr(made.library, f"{made.name}_selftest")() == OK


def test_a_failed_compilation_is_reported_in_three_lines(case, tmp_path):
    found = case("gain", "linear")
    source_files.write_sources(found.machine, tmp_path)
    (tmp_path / "linear_gain.c").write_text("not C")
    with pytest.raises(UserError, match="does not compile"):
        compiled.compile_folder(tmp_path, "linear_gain")


# Planted faults: each must be seen by the comparison that finds the sound machine equal.


def weights_changed(machine, name, change):
    def changed(program):
        constants = dict(program.constants)
        [number] = [n for n, label in program.weights.items() if label == name]
        constants[number] = np.ascontiguousarray(change(constants[number]), np.float32)
        assert not np.array_equal(constants[number], program.constants[number])
        return program._replace(constants=constants)

    return machine._replace(step=changed(machine.step))


def gates_swapped(kernel):
    i, f, g, o = np.split(kernel, 4, axis=-1)
    return np.concatenate([f, i, g, o], axis=-1)


IN_WEIGHTS = {
    "gates swapped": ("layers.0.h_map.kernel", gates_swapped),
    "kernel transposed": ("head_map.kernel", np.transpose),
    "no bias": ("layers.0.x_map.bias", np.zeros_like),
    "no bias at the end": ("out_map.bias", np.zeros_like),
    "innovations not normalised": ("norm.innovation_std", np.ones_like),
    "outputs not scaled": ("norm.output_std", np.ones_like),
    "one weight a thousandth off": ("out_map.kernel", lambda a: a * (1 + 1e-3 * (a == a.max()))),
}
IN_TEXT = {
    "a tick too few": (r"tick < n_ticks", "tick < n_ticks - 1"),
    "the first tick's input for all": (r"= in_u \+ 4 \* tick", "= in_u + 0 * tick"),
    "seen ignored": (r"seen\[i\] != 0", "1"),
    "innovation's sign": (r"in_z\[(\d)\] - ", r"in_z[\1] + "),
    "old measurement": (r"memcpy\(my_z, z, sizeof my_z\);", "memset(my_z, 0, sizeof my_z);"),
    "no soft clip": (r"1\.0f / sqrtf\(x\)", "x > 0.0f ? 1.0f : x"),
    "memory swapped": (
        r"state->memory_0_h,(\s+)state->memory_0_c",
        r"state->memory_0_c,\1state->memory_0_h",
    ),
    "state not kept": (r"    \*state = next;", "    (void)next;"),
    "digits lost in tanh": (r"4\.89352457e-03f", "4.8937e-03f"),
    "cell's tanh left out": (r"ftanh\(out_memory_0_c\[i\]\)", "out_memory_0_c[i]"),
    "time since seen not reset": (r"\? 0\.0f : in_since", "? 1.0f : in_since"),
}


@pytest.mark.parametrize("fault", [*IN_WEIGHTS, *IN_TEXT, "literals of six digits"])
def test_a_planted_fault_is_seen(case, tmp_path, fault):
    found = case("gain", "rover")
    machine = found.machine
    if fault in IN_WEIGHTS:
        machine = weights_changed(machine, *IN_WEIGHTS[fault])
    source_files.write_sources(machine, tmp_path)
    for path in tmp_path.glob("*.c"):
        text = path.read_text()
        if fault in IN_TEXT and path.name == "rover_gain.c":
            text, count = re.subn(*IN_TEXT[fault], text)
            assert count, "the text to spoil is not there"
        if fault == "literals of six digits":
            text = re.sub(r"\b\d+\.[\de.+-]*(?=f)", lambda m: f"{float(m[0]):#.6g}", text)
        path.write_text(text)
    library = compiled.compile_folder(tmp_path, "rover_gain")
    worst = differences(compiled.load_library(machine, library), found.steps)
    assert max(worst.values()) > 1, worst


def test_numbers_survive_being_written():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20000, dtype=np.uint32)
    values = np.concatenate([bits.view(np.float32), np.float32([1, 1e20, -3e38])])
    # Threads that jax has used take the smallest floats, of exponent 0, for zero.
    exponent = (values.view(np.uint32) >> 23) & 255
    values = values[(exponent > 0) & (exponent < 255)]
    values = np.concatenate([values, np.float32([0.0, -0.0])])
    texts = [literal(value).strip("()") for value in values]
    assert all(text.endswith("f") and ("." in text or "e" in text) for text in texts)
    read = np.array([float(text[:-1]) for text in texts]).astype(np.float32)
    assert (read.view(np.uint32) == values.view(np.uint32)).all()
    assert literal(np.float32(np.nan)) == "NAN"


EXHAUSTIVE = """
#include <math.h>
#include <stdint.h>
#include <string.h>
HELPERS
double worst(int which, uint32_t step)
{
    double found = 0.0;
    uint32_t bits = 0;
    do {
        float x;
        memcpy(&x, &bits, sizeof x);
        const double y = which ? flogistic(x) : ftanh(x);
        if (isnan(x)) { if (!isnan(y)) return 1.0; }
        else {
            const double far = fabs(y - (which ? 1.0 / (1.0 + exp(-(double)x)) : tanh(x)));
            if (!(far <= found)) found = far;
        }
        bits += step;
    } while (bits >= step);
    return found;
}
"""


@pytest.mark.parametrize("step", [4099, pytest.param(17, marks=pytest.mark.slow)])
def test_tanh_and_logistic_over_all_floats(tmp_path, step):
    """4e-7 is what the network's own float32 sums lose."""
    text = EXHAUSTIVE.replace("HELPERS", math_functions.helpers({"tanh", "logistic"}))
    (tmp_path / "m.c").write_text(text)
    library = tmp_path / "m.so"
    flags = ["-std=c99", "-O2", "-fPIC", "-shared", str(tmp_path / "m.c"), "-o", str(library)]
    subprocess.run([compiled.find_compiler(), *flags, "-lm"], check=True)
    worst = ctypes.CDLL(str(library)).worst
    worst.restype = ctypes.c_double
    for which in (0, 1):
        assert worst(which, ctypes.c_uint32(step)) < 4e-7


def test_index_arrays_become_the_loops_they_came_from():
    rng = np.random.default_rng(0)
    for _ in range(200):
        dims = tuple(rng.integers(1, 5, rng.integers(1, 4)))
        arrays = []
        for _ in range(2):
            strides = rng.integers(-3, 4, len(dims))
            grid = np.meshgrid(*[np.arange(n) for n in dims], indexing="ij")
            arrays.append(50 + sum(s * g for s, g in zip(strides, grid, strict=True)).ravel())
        nest = find_nest(arrays)
        assert nest is not None
        again = np.indices(nest.dims).reshape(len(nest.dims), len(arrays[0]))
        for array, base, strides in zip(arrays, nest.bases, nest.strides, strict=True):
            walked = base + (np.array(strides)[:, None] * again).sum(axis=0) * np.ones(1, int)
            assert (walked == array).all()
        base, strides = affine(arrays[0], dims)
        assert base == arrays[0][0]
    assert find_nest([np.array([0, 1, 3, 4, 9])]) is None
    assert affine(np.array([0, 1, 3]), (3,)) is None


def test_the_cpp_example_says_what_the_library_says(case, built, tmp_path):
    """Both are the same C; only the CSV's nine digits lie between them."""
    if not (shutil.which("cmake") and shutil.which("c++")):
        pytest.skip("no cmake or no C++ compiler on this machine")
    found, made = built("gain", "rover")
    source_files.write_sources(
        found.machine, tmp_path / "c", record_selftest(found.estimator, found.drive)
    )
    write_drive(tmp_path, found.drive)
    example = ROOT / "examples" / "cpp"
    run = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    subprocess.run(["cmake", "-S", example, "-B", "out", f"-DEXPORTED={tmp_path / 'c'}"], **run)
    subprocess.run(["cmake", "--build", "out"], **run)
    lines = subprocess.run(["out/replay", "."], **run).stdout.splitlines()
    assert lines[0] == "t,mean_0,mean_1,mean_2"
    rows = np.array([line.split(",")[1:] for line in lines[1:]], np.float32)
    _, state = compiled.init(made, found.drive.belief.mean)
    packets = zip(*found.drive.packets, strict=True)
    expected = [compiled.step(made, state, *packet)[1]["mean"] for packet in packets]
    np.testing.assert_allclose(rows, expected, rtol=1e-6, atol=1e-6)
    (tmp_path / "ticks.csv").write_text("t_event,dt,u_0,u_1,u_2,u_3\n1e9,0.02,0,0,0,0\n")
    run["check"] = False
    wrong = subprocess.run(["out/replay", "."], **run)
    assert wrong.returncode == 3
    assert "ticks.csv: no event at 1e9" in wrong.stderr


def write_drive(folder, drive):
    """Write a drive's three files as examples/python/README.md says."""
    z, seen, u, dt = drive.packets
    columns = {"z": z.shape[1], "seen": seen.shape[1]}
    head = ["t", *(f"{key}_{i}" for key, n in columns.items() for i in range(n))]
    events = [
        [repr(float(t)), *map(float, a), *map(int, b)]
        for t, a, b in zip(drive.t, z, seen, strict=True)
    ]
    ticks = [
        [repr(float(t)), float(length), *map(float, given)]
        for t, lengths, inputs in zip(drive.t, dt, u, strict=True)
        for length, given in zip(lengths, inputs, strict=True)
    ]
    start = [list(map(float, drive.belief.mean))]
    tables = {
        "events.csv": (head, events),
        "ticks.csv": (["t_event", "dt", *(f"u_{i}" for i in range(u.shape[2]))], ticks),
        "start.csv": ([f"mean_{i}" for i in range(len(start[0]))], start),
    }
    for name, (columns, rows) in tables.items():
        text = "\n".join(",".join(map(str, row)) for row in [columns, *rows])
        (folder / name).write_text(text + "\n")
