"""Each operation of a program, in ONNX, is numpy's."""

import numpy as np
import pytest

from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.ir.program import Op, Port, Program, Value, check
from kalmanrnn.deploy.onnx.model import build_model, open_session

pytest.importorskip("onnx", reason="the extra `export` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

TYPES = {np.dtype(np.float32): "f32", np.dtype(np.int32): "i32", np.dtype(bool): "bool"}


def value_of(array):
    return Value(array.shape, TYPES[array.dtype])


def one_op(kind, arrays, out, **attrs):
    values = {i: value_of(a) for i, a in enumerate(arrays)} | {99: out}
    ports = tuple(Port(f"in{i}", i) for i in range(len(arrays)))
    op = Op(kind, tuple(range(len(arrays))), (99,), attrs, "sim.py:1 (f)")
    return Program("one", ports, (Port("out", 99),), values, {}, {}, (op,))


def run_program(program, arrays, **more):
    check(program)
    inputs, outputs = ([p.name for p in ports] for ports in (program.inputs, program.outputs))
    ticks = "n_ticks" if more else ""
    model = build_model(program, program.name, inputs, outputs, {}, ticks=ticks)
    feeds = dict(zip(inputs, arrays, strict=True)) | more
    return open_session(model.SerializeToString()).run(None, feeds)


def run_op(kind, *arrays, shape=None, dtype="f32", **attrs):
    arrays = [
        np.asarray(a)
        if np.asarray(a).dtype == bool
        else np.asarray(a, np.float32)
        if np.asarray(a).dtype.kind == "f"
        else np.asarray(a, np.int32)
        for a in arrays
    ]
    out = Value(np.shape(arrays[-1]) if shape is None else shape, dtype)
    (found,) = run_program(one_op(kind, arrays, out, **attrs), arrays)
    assert found.shape == out.shape
    return found


X = np.array([-30.0, -2.5, -1.0, -0.5, -0.3, -1e-6, 0.0, 1e-7, 3e-4, 0.4, 0.5, 1.0, 1.5, 2.5, 30.0])
SMALL, POSITIVE = X[np.abs(X) <= 1], np.abs(X) + 1e-3
UNARY = {
    "neg": (np.negative, X),
    "abs": (np.abs, X),
    "sign": (np.sign, X),
    "floor": (np.floor, X),
    "ceil": (np.ceil, X),
    "sqrt": (np.sqrt, POSITIVE),
    "rsqrt": (lambda x: 1 / np.sqrt(x), POSITIVE),
    "exp": (np.exp, X),
    "sin": (np.sin, X),
    "log": (np.log, POSITIVE),
    "log1p": (np.log1p, np.append(X[3:], [1e7, 1e30, np.inf])),
    "expm1": (np.expm1, np.append(X, [-np.inf, 80.0])),
    "cos": (np.cos, X),
    "tan": (np.tan, X),
    "asin": (np.arcsin, SMALL),
    "acos": (np.arccos, SMALL),
    "atan": (np.arctan, X),
    "tanh": (np.tanh, X),
    "logistic": (lambda x: 1 / (1 + np.exp(-x)), X),
}


@pytest.mark.parametrize("kind", UNARY)
def test_unary_operations_are_numpys(kind):
    """5e-7 relative: a few float32 roundings; near its zeros what the argument's own one makes."""
    function, x = UNARY[kind]
    x = x.astype(np.float32)
    wanted = function(x.astype(np.float64))
    # onnxruntime's tanh and logistic are rational functions, good to 3e-7 absolute.
    absolute = 3e-7 if kind in ("tanh", "logistic", "sin", "cos", "tan", "acos") else 0
    np.testing.assert_allclose(run_op(kind, x), wanted, rtol=5e-7, atol=absolute)


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "rem": np.fmod,
    "atan2": np.arctan2,
}
COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
PAIRS = np.stack(np.meshgrid([-3.0, -1.0, -0.2, 0.7, 1.0, 5.0], [-2.0, -0.7, 0.7, 1.0, 4.0]))


@pytest.mark.parametrize("kind", BINARY)
def test_binary_operations_are_numpys(kind):
    a, b = PAIRS.astype(np.float32)
    wanted = BINARY[kind](a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(run_op(kind, a, b), wanted, rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("kind", COMPARE)
def test_comparisons_are_numpys(kind):
    a, b = np.append(PAIRS[0].ravel(), np.nan), np.append(PAIRS[1].ravel(), 1.0)
    np.testing.assert_array_equal(run_op(kind, a, b, dtype="bool"), COMPARE[kind](a, b))
    whole = np.array([[1, 2, 3], [2, 2, 2]])
    np.testing.assert_array_equal(
        run_op(kind, *whole, dtype="bool", shape=(3,)), COMPARE[kind](*whole)
    )


def test_atan2_heeds_the_signs_of_zeros():
    y, x = (
        a.ravel().astype(np.float32)
        for a in np.meshgrid([0.0, -0.0, 1.0, -1.0], [0.0, -0.0, 2.0, -2.0])
    )
    np.testing.assert_allclose(run_op("atan2", y, x), np.arctan2(y, x), atol=3e-7)


def test_round_goes_to_the_even():
    np.testing.assert_array_equal(run_op("round", X), np.round(X.astype(np.float32)))


def test_powers_and_remainders():
    np.testing.assert_allclose(
        run_op("pow", [2.0, 9.0, 1.5], 0.5, shape=(3,)), [2**0.5, 3, 1.5**0.5], rtol=3e-7
    )
    np.testing.assert_array_equal(run_op("rem", [7, -7], [3, 3], dtype="i32"), [1, -1])


def test_logic_selects_and_converts():
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    np.testing.assert_array_equal(run_op("and", a, b, dtype="bool"), a & b)
    np.testing.assert_array_equal(run_op("or", a, b, dtype="bool"), a | b)
    np.testing.assert_array_equal(run_op("not", a, dtype="bool"), ~a)
    np.testing.assert_array_equal(run_op("select", a, [1.0] * 4, [2.0] * 4), [2, 2, 1, 1])
    np.testing.assert_array_equal(run_op("select", a, b, ~b, dtype="bool"), np.where(a, ~b, b))
    np.testing.assert_array_equal(
        run_op("select", a, np.arange(4), -np.arange(4), dtype="i32"), [0, -1, 2, 3]
    )
    np.testing.assert_array_equal(run_op("convert", [-1.7, 2.9], dtype="i32"), [-1, 2])
    np.testing.assert_array_equal(
        run_op("convert", [0.0, 0.5, -2], dtype="bool"), [False, True, True]
    )
    np.testing.assert_array_equal(run_op("convert", a), [1, 1, 0, 0])
    strange = [1.0, np.inf, -np.inf, np.nan]
    np.testing.assert_array_equal(
        run_op("is_finite", strange, dtype="bool"), [True, False, False, False]
    )


def test_single_elements_of_any_rank_broadcast():
    np.testing.assert_array_equal(run_op("add", np.ones((1, 1, 1)), [1.0, 2.0]), [2, 3])
    np.testing.assert_array_equal(run_op("add", 1.0, 2.0, shape=(1, 1)), [[3]])
    np.testing.assert_array_equal(run_op("mul", [3.0], [2.0], shape=()), 6)


TAKES = {
    "identity": (np.arange(6), (2, 3)),
    "slice": (np.arange(2, 5), (3,)),
    "transpose": (np.arange(6).reshape(2, 3).T.ravel(), (3, 2)),
    "broadcast": (np.zeros(4, int), (2, 2)),
    "reverse": (np.arange(6)[::-1], (6,)),
    "both": (np.array([7, 0, 6, 5]), (2, 2)),
    "second": (np.array([6, 7]), (2,)),
    "joined": (np.arange(8), (8,)),
    "nothing": (np.zeros(0, int), (0,)),
}


@pytest.mark.parametrize("name", TAKES)
def test_take_is_an_index_into_the_flattened(name):
    index, shape = TAKES[name]
    a, empty, b = np.arange(6.0).reshape(2, 3), np.zeros((0, 3)), np.array([10.0, 11.0])
    wanted = np.concatenate([a.ravel(), b])[index].reshape(shape)
    index = index.astype(np.int32)
    np.testing.assert_array_equal(run_op("take", a, empty, b, shape=shape, index=index), wanted)


def test_take_of_bools_and_of_scalars():
    index = np.array([1, 0, 1], np.int32)
    found = run_op("take", True, False, shape=(3,), dtype="bool", index=index)
    np.testing.assert_array_equal(found, [False, True, False])
    found = run_op("take", 4.0, shape=(2, 1), index=np.zeros(2, np.int32))
    np.testing.assert_array_equal(found, [[4], [4]])


@pytest.mark.parametrize("batches", [(1, 1), (3, 3), (1, 3), (3, 1)])
def test_matmul_spreads_one_batch_over_many(batches):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(batches[0], 2, 4)), rng.normal(size=(batches[1], 4, 3))
    found = run_op("matmul", a, b, shape=(max(batches), 2, 3))
    np.testing.assert_allclose(found, a @ b, atol=1e-6)


def test_reductions_and_running_ones():
    x = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]])
    for how, function in {"sum": np.sum, "max": np.max, "min": np.min}.items():
        np.testing.assert_allclose(run_op("reduce", x, shape=(2,), how=how), function(x, axis=1))
        ints = run_op("reduce", x.astype(int), shape=(2,), dtype="i32", how=how)
        np.testing.assert_array_equal(ints, function(x.astype(int), axis=1))
    flags = np.array([[True, False], [True, True], [False, False]])
    for how, function in {"and": np.all, "or": np.any}.items():
        found = run_op("reduce", flags, shape=(3,), dtype="bool", how=how)
        np.testing.assert_array_equal(found, function(flags, axis=1))
    running = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
    for how, function in running.items():
        found = run_op("cumulate", x, how=how)
        np.testing.assert_allclose(found, function.accumulate(x, axis=1), rtol=1e-6)
        found = run_op("cumulate", x.astype(int), dtype="i32", how=how)
        np.testing.assert_array_equal(found, function.accumulate(x.astype(int), axis=1))


def positive(n, batch=2):
    rng = np.random.default_rng(n)
    a = rng.normal(size=(batch, n, n))
    return a @ a.transpose(0, 2, 1) + n * np.eye(n)


@pytest.mark.parametrize("n", [1, 2, 5, 15])
def test_cholesky_reads_the_lower_half_alone(n):
    a = positive(n)
    wanted = np.linalg.cholesky(a)
    spoiled = np.tril(a) + np.triu(np.full_like(a, 77.0), 1)
    found = run_op("cholesky", spoiled)
    np.testing.assert_allclose(found, wanted, atol=2e-6 * np.abs(wanted).max())
    assert np.all(np.triu(found, 1) == 0)


def test_cholesky_of_no_covariance_is_nan():
    assert np.isnan(run_op("cholesky", np.diag([1.0, -1.0])[None])).any()


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("n", [1, 4])
def test_triangular_solves(n, lower, transpose, unit):
    rng = np.random.default_rng(1)
    a = rng.uniform(-1, 1, size=(2, n, n)) + 3 * np.eye(n)
    b = rng.normal(size=(2, n, 3))
    half = np.tril(a) if lower else np.triu(a)
    if unit:
        half[:, range(n), range(n)] = 1
    wanted = np.linalg.solve(half.transpose(0, 2, 1) if transpose else half, b)
    found = run_op("solve_triangular", a, b, lower=lower, transpose=transpose, unit=unit)
    np.testing.assert_allclose(found, wanted, atol=5e-6)


def test_factors_too_large_are_refused():
    with pytest.raises(UserError, match="too large") as caught:
        run_op("cholesky", positive(200, 1))
    assert "sim.py:1" in str(caught.value)


def ticking(*, collect, counted=True, length=4):
    """Per tick: carried = carried * captured + walked; what is collected is the square."""
    f = Value((2,), "f32")
    walked = Value((length, 2), "f32")
    names = ("captured", "carried", "walked")
    body_values = {0: f, 1: f, 2: f, 3: f, 4: f, 5: f}
    ops = (
        Op("mul", (1, 0), (3,), {}, ""),
        Op("add", (3, 2), (4,), {}, ""),
        Op("mul", (4, 4), (5,), {}, ""),
    )
    ins = tuple(Port(name, i) for i, name in enumerate(names))
    outs = (Port("carried", 4), Port("squares", 5)) if collect else (Port("carried", 4),)
    body = Program("body", ins, outs, body_values, {}, {}, ops)
    attrs = {"body": body, "captured": 1, "carried": 1, "length": length, "counted": counted}
    values = {0: f, 1: f, 2: walked, 3: f, 4: walked}
    results = (3, 4) if collect else (3,)
    op = Op("loop", (0, 1, 2), results, attrs, "")
    ports = tuple(Port(f"out{i}", i) for i in results)
    return Program("ticking", ins, ports, values, {}, {}, (op,))


def ticked(captured, carried, walked, count):
    rows = []
    for row in walked[:count]:
        carried = carried * captured + row
        rows.append(carried**2)
    return carried, np.array(rows)


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_a_counted_loop_runs_as_often_as_asked(count):
    arrays = [
        np.float32([0.5, 2.0]),
        np.float32([1.0, -1.0]),
        np.arange(8, dtype=np.float32).reshape(4, 2),
    ]
    (found,) = run_program(ticking(collect=False), arrays, n_ticks=np.array([count]))
    np.testing.assert_allclose(found, ticked(*arrays, count)[0], rtol=1e-6)


def test_a_tick_count_out_of_range_is_an_error():
    arrays = [np.ones(2, np.float32), np.ones(2, np.float32), np.ones((4, 2), np.float32)]
    with pytest.raises(Exception, match="out of data bounds"):
        run_program(ticking(collect=False), arrays, n_ticks=np.array([5]))


def test_collections_are_whole_whatever_the_count():
    arrays = [
        np.float32([0.5, 2.0]),
        np.float32([1.0, -1.0]),
        np.arange(8, dtype=np.float32).reshape(4, 2),
    ]
    found = run_program(ticking(collect=True), arrays, n_ticks=np.array([2]))
    for a, b in zip(found, ticked(*arrays, 4), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_loop_may_collect_and_carry_nothing():
    f, rows = Value((2,), "f32"), Value((3, 2), "f32")
    ops = (Op("neg", (0,), (1,), {}, ""),)
    body = Program("body", (Port("x", 0),), (Port("y", 1),), {0: f, 1: f}, {}, {}, ops)
    attrs = {"body": body, "captured": 0, "carried": 0, "length": 3, "counted": False}
    op = Op("loop", (0,), (1,), attrs, "")
    program = Program("map", (Port("x", 0),), (Port("y", 1),), {0: rows, 1: rows}, {}, {}, (op,))
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(run_program(program, [x])[0], -x)


def test_equal_weights_keep_their_names():
    f = Value((2,), "f32")
    ones = np.ones(2, np.float32)
    ops = (Op("add", (0, 1), (3,), {}, ""), Op("mul", (3, 2), (4,), {}, ""))
    ports = (Port("x", 0),), (Port("y", 4),)
    values = dict.fromkeys(range(5), f)
    names = {1: "head.bias", 2: "norm.std"}
    program = Program("p", *ports, values, {1: ones, 2: ones}, names, ops)
    model = build_model(program, "p", ["x"], ["y"], {})
    assert {w.name for w in model.graph.initializer} == set(names.values())
