"""Random programs of all operations: generated C equals numpy."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from kalmanrnn.deploy.c import compiled
from kalmanrnn.deploy.c.function import render_function
from kalmanrnn.deploy.c.math_functions import helpers
from kalmanrnn.deploy.c.source import helpers_used, render_tables
from kalmanrnn.deploy.ir.program import NUMPY, Loop, Op, Port, Program, Value, check
from kalmanrnn.deploy.runtime import run_program

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler on this machine"
)
TAME = ("neg", "abs", "sign", "floor", "round", "sin", "cos", "atan", "tanh", "logistic")
PAIRS = ("add", "sub", "mul", "max", "min", "atan2")
COMPARED = ("lt", "le", "gt", "ge", "eq", "ne")


class Draft:
    """A program in the making; every method adds an operation and returns its value."""

    def __init__(self, rng):
        self.rng, self.values, self.constants, self.ops = rng, {}, {}, []

    def new(self, shape, dtype="f32"):
        self.values[len(self.values)] = Value(tuple(int(n) for n in shape), dtype)
        return len(self.values) - 1

    def constant(self, array):
        array = np.asarray(array)
        dtype = {np.dtype(t): name for name, t in NUMPY.items()}[array.dtype]
        number = self.new(array.shape, dtype)
        self.constants[number] = array
        return number

    def op(self, kind, inputs, shape, dtype="f32", **attrs):
        out = self.new(shape, dtype)
        self.ops.append(Op(kind, tuple(inputs), (out,), attrs, f"draft.py:{len(self.ops)} (*/)"))
        return out

    def shape(self, number):
        return self.values[number].shape

    def tame(self, number):
        return self.op("tanh", [number], self.shape(number))

    def take(self, inputs, index):
        return self.op("take", inputs, np.shape(index), index=np.asarray(index, np.int32))

    def reshaped(self, number, shape):
        return self.take([number], np.arange(int(np.prod(shape))).reshape(shape))


def draw(rng, d, pool):
    """Add one random operation on values of the pool."""
    pick = lambda: pool[rng.integers(max(0, len(pool) - 8), len(pool))]  # noqa: E731
    a = pick()
    size, shape = d.values[a].size, d.shape(a)
    kind = rng.choice(["unary", "pair", "select", "move", "gather", "join", "matrix", "rows"])
    if kind == "unary":
        return d.op(rng.choice(TAME), [a], shape)
    if kind in ("pair", "select"):
        b = d.take([pick()], np.zeros(())) if rng.random() < 0.3 else same(d, pick(), shape)
        pair = [a, b] if rng.random() < 0.7 else [b, a]
        if kind == "pair":
            return d.tame(d.op(rng.choice(PAIRS), pair, shape))
        wide = d.op(rng.choice(COMPARED), pair, shape, "bool")
        wide = d.op("not", [wide], shape, "bool") if rng.random() < 0.3 else wide
        if rng.random() < 0.3:
            return d.op("convert", [wide], shape)
        return d.op("select", [wide, *pair], shape)
    if kind == "move":
        index = np.arange(size).reshape(shape)
        way = rng.integers(4)
        if way == 0:
            index = np.transpose(index)
        elif way == 1:
            index = index.reshape(-1)[rng.integers(size) :: rng.integers(1, 4)]
        elif way == 2:
            index = np.broadcast_to(index, (rng.integers(1, 4), *shape))
        else:
            index = index.reshape(-1)[::-1].reshape(shape)
        return d.take([a], index) if index.size <= 200 else a
    if kind == "gather":
        return d.take([a], rng.integers(0, size, rng.integers(1, 20)))
    if kind == "join":
        others = [a, pick(), d.constant(rng.normal(size=3).astype(np.float32))]
        total = sum(d.values[i].size for i in others)
        order = rng.permutation(total) if rng.random() < 0.3 else np.arange(total)
        return d.take(others, order[: 1 + rng.integers(min(total, 60))])
    return linear(rng, d, a) if kind == "matrix" else rows(rng, d, a)


def same(d, number, shape):
    """Bring a value to a shape by repeating it."""
    size = int(np.prod(shape, dtype=int))
    return d.take([number], np.resize(np.arange(d.values[number].size), size).reshape(shape))


def linear(rng, d, a):
    n, m, k = rng.integers(1, 7, 3)
    batch = rng.integers(1, 3)
    left, right = same(d, a, (batch, m, k)), same(d, a, (1, k, n))
    if rng.random() < 0.3:
        right = d.constant(rng.normal(size=(1, k, n)).astype(np.float32))
    product = d.op("matmul", [left, right], (batch, m, n))
    if rng.random() < 0.5:
        return d.tame(product)
    square = same(d, a, (1, n, n))
    turned = d.take([square], np.arange(n * n).reshape(n, n).T[None])
    whole = d.op("matmul", [square, turned], (1, n, n))
    whole = d.op("add", [whole, d.constant(np.eye(n, dtype=np.float32)[None])], (1, n, n))
    root = d.op("cholesky", [whole], (1, n, n))
    flags = {key: bool(rng.integers(2)) for key in ("transpose", "unit")}
    side = same(d, product, (1, n, m))
    flat = d.op("solve_triangular", [root, side], (1, n, m), lower=True, **flags)
    return d.tame(flat)


def rows(rng, d, a):
    r, n = rng.integers(1, 6, 2)
    if rng.random() < 0.5:
        how = rng.choice(["sum", "max", "min"])
        return d.tame(d.op("reduce", [same(d, a, (r, n))], (r,), how=how))
    how = rng.choice(["sum", "max", "min", "prod"])
    return d.tame(d.op("cumulate", [same(d, a, (r, n))], (r, n), how=how))


def looped(rng, d, pool):
    """Add a counted loop that reads, carries, walks and collects."""
    captured, first, walked = pool[-1], same(d, pool[-2], (2, 3)), same(d, pool[-3], (4, 5))
    inner = Draft(rng)
    ports = [inner.new(d.shape(captured)), inner.new((2, 3)), inner.new((5,))]
    found = list(ports)
    for _ in range(6):
        found.append(draw(rng, inner, found))
    after = inner.tame(same(inner, found[-1], (2, 3)))
    body = Program(
        "body",
        tuple(Port(f"i{p}", p) for p in ports),
        (Port("after", after), Port("kept", found[-2])),
        inner.values,
        inner.constants,
        {},
        tuple(inner.ops),
    )
    last = d.new((2, 3))
    kept = d.new((4, *inner.shape(found[-2])))
    attrs = Loop(body, 1, 1, 4, bool(rng.integers(2)))._asdict()
    d.ops.append(Op("loop", (captured, first, walked), (last, kept), attrs, ""))
    return [last, kept]


def program_of(seed):
    rng = np.random.default_rng(seed)
    d = Draft(rng)
    inputs = [d.new((4,)), d.new((3, 5)), d.new(())]
    pool = list(inputs)
    for step in range(25):
        pool.append(draw(rng, d, pool))
        if step == 12:
            pool += looped(rng, d, pool)
    wanted = [pool[i] for i in (-1, -4, -9, 1)]
    program = Program(
        f"p{seed}",
        tuple(Port(f"x{i}", n) for i, n in enumerate(inputs)),
        tuple(Port(f"y{i}", n) for i, n in enumerate(wanted)),
        d.values,
        d.constants,
        {},
        tuple(d.ops),
    )
    check(program)
    return program


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 60), marks=pytest.mark.slow)])
def test_random_programs_say_what_numpy_says(tmp_path, seeds):
    """1e-4: rounding differs by the order of sums, and sines of sums pass it on; floors and
    comparisons may even jump, so one program in twenty may miss."""
    programs = [program_of(seed) for seed in seeds]
    tables = {}
    bodies = "\n\n".join(render_function(p, p.name, tables).text for p in programs)
    bodies = bodies.replace("static void p", "void p")
    own, _ = render_tables("x", tables)
    constants = "\n".join(f"static const {head} = {{{body}}};" for head, body in own)
    includes = "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n"
    (tmp_path / "p.c").write_text(
        f"{includes}{constants}\n{helpers(helpers_used(bodies))}\n{bodies}\n"
    )
    flags = [flag for flag in compiled.STRICT if flag != "-Wpedantic"]
    command = [compiled.find_compiler(), *flags, "-O1", "-fPIC", "-shared", str(tmp_path / "p.c")]
    library = tmp_path / "p.so"
    subprocess.run([*command, "-o", str(library), "-lm"], check=True)
    loaded, rng, missed = ctypes.CDLL(str(library)), np.random.default_rng(1), []
    for program in programs:
        given = {
            p.name: rng.normal(size=program.values[p.value].shape).astype(np.float32)
            for p in program.inputs
        }
        expected = run_program(program, given, 3)
        found = run(getattr(loaded, program.name), program, given, 3)
        if any(not np.allclose(found[k], expected[k], atol=1e-4, equal_nan=True) for k in found):
            missed.append(program.name)
    assert len(missed) <= len(programs) // 20, missed


def run(function, program, given, ticks):
    inputs = [np.atleast_1d(given[p.name]) for p in program.inputs]
    outputs = {
        p.name: np.full(program.values[p.value].shape or (1,), 77.0, np.float32)
        for p in program.outputs
    }
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*inputs, *outputs.values())]
    # One argument too many does no harm where the loop is not needed.
    function(*pointers, ctypes.c_int(ticks))
    shapes = {p.name: program.values[p.value].shape for p in program.outputs}
    return {name: array.reshape(shapes[name]) for name, array in outputs.items()}
