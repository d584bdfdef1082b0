"""The list of typed operations that every back end implements: static shapes, float32.

All movement of data (slices, reshapes, broadcasts, transposes, concatenations, padding, static
gathers and scatters) is one operation, `take`; `tracing` lowers the rest of jax to the operations
below. What they mean:

UNARY, BINARY     elementwise. Each input has the output's shape or a single element.
compare, logic    eq ne lt le gt ge on numbers, and or not on bools; bools out.
rem               C's fmod: the sign of the dividend.
round             to the nearest integer, halves to the even one.
max, min          NaN where either is NaN.
sign              -1, 0 or 1; NaN of NaN.
select            (pred, on_false, on_true), elementwise as above.
convert           to the output's dtype; float to int truncates, bool to number is 0 or 1.
take              out.flat[i] = (inputs flattened and concatenated)[index[i]]; `index`
                  is an int32 array of the output's size.
matmul            a [A, m, k], b [B, k, n] -> [max(A, B), m, n]; A and B equal, or one of them 1.
reduce            [r, n] -> [r] over the last axis; `how` is sum, max, min, and, or.
cumulate          [r, n] -> [r, n] along the last axis; `how` is sum, prod, max, min.
cholesky          [b, n, n] -> lower factors, zeros above the diagonal.
solve_triangular  a [b, n, n], b [b, n, m] -> x with a x = b, or a' x = b for `transpose`;
                  `lower` says which half of a is read; `unit` that its diagonal counts as ones.
loop              runs `body` (a Program) over the first axis of some inputs: see `Loop`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

Dtype = Literal["f32", "i32", "bool"]
NUMPY: dict[str, Any] = {"f32": np.float32, "i32": np.int32, "bool": np.bool_}

UNARY = (
    *("neg", "abs", "sign", "floor", "ceil", "round", "sqrt", "rsqrt", "exp", "log", "log1p"),
    *("expm1", "sin", "cos", "tan", "asin", "acos", "atan", "tanh", "logistic", "is_finite", "not"),
)
BINARY = (
    *("add", "sub", "mul", "div", "max", "min", "pow", "atan2", "rem"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or"),
)
OTHERS = (
    *("select", "convert", "take", "matmul", "reduce", "cumulate"),
    *("cholesky", "solve_triangular", "loop"),
)
KINDS = (*UNARY, *BINARY, *OTHERS)


class Value(NamedTuple):
    """An array of a program: an input, a constant, or the result of an operation."""

    shape: tuple[int, ...]
    dtype: Dtype

    @property
    def size(self) -> int:
        """Numbers in it."""
        return int(np.prod(self.shape, dtype=int))


class Port(NamedTuple):
    """A named input or output: its name and the value's number."""

    name: str
    value: int


class Op(NamedTuple):
    """One operation: `inputs` and `outputs` are numbers of values.

    attrs: `index` for take, `how`, `lower`, `transpose`, `unit`, or the fields of a `Loop`.
    source: the line of a scenario or of kalmanrnn that it came from, `file.py:12 (function)`.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: dict[str, Any]
    source: str


class Loop(NamedTuple):
    """The attrs of a `loop` operation, by these names.

    The operation's inputs are `captured` values, then `carried` ones, then those whose first
    axis is walked; the body's inputs are the same with that axis gone, its outputs the next carried
    values and then what is collected along a new first axis. The operation's outputs are
    the last carried values and the collections.
    counted: whether only the first `n_ticks` iterations need to run: the others are padding
    (dt = 0) and change nothing.
    """

    body: Program
    captured: int
    carried: int
    length: int
    counted: bool


class Program(NamedTuple):
    """One pure function of arrays, in order of computation.

    constants: by number; weights are among them, named in `weights` (number -> name such as
    `lstm0.kernel`). A loop body has constants of its own and captures only its declared inputs.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    values: dict[int, Value]
    constants: dict[int, np.ndarray]
    weights: dict[int, str]
    ops: tuple[Op, ...]


def check(program: Program) -> None:
    """Check a program's types; AssertionError names the operation that breaks them."""
    known = {port.value for port in program.inputs} | set(program.constants)
    for number, array in program.constants.items():
        value = program.values[number]
        assert array.shape == value.shape, number
        assert array.dtype == NUMPY[value.dtype], number
    for op in program.ops:
        assert op.kind in KINDS, op
        assert set(op.inputs) <= known, op
        assert not set(op.outputs) & known, op
        known |= set(op.outputs)
        if op.kind in (*UNARY, *BINARY, "select", "convert"):
            out = program.values[op.outputs[0]].shape
            shapes = [program.values[i] for i in op.inputs]
            assert all(value.size == 1 or value.shape == out for value in shapes), op
        if op.kind == "take":
            index = op.attrs["index"]
            total = sum(program.values[i].size for i in op.inputs)
            assert index.size == program.values[op.outputs[0]].size, op
            assert not index.size or (index.min() >= 0 and index.max() < total), op
        if op.kind == "loop":
            check(op.attrs["body"])
    assert {port.value for port in program.outputs} <= known, program.outputs
