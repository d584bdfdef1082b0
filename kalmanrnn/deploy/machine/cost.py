"""Estimate the cost of a program on a robot."""

from __future__ import annotations

from kalmanrnn.deploy.ir.program import BINARY, UNARY, Op, Program

# Multiply-adds per number on a small processor, roughly.
PER_NUMBER = {"div": 4, "sqrt": 4, "rsqrt": 5, "take": 0, "convert": 0}
EXPENSIVE = {
    *("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("tanh", "logistic", "pow"),
}


def estimate_flops(program: Program) -> int:
    """Estimate the multiply-adds of one run; functions such as sine count as ten."""
    return sum(_op_flops(program, op) for op in program.ops)


def _op_flops(program: Program, op: Op) -> int:
    shape = program.values[op.outputs[0]].shape
    size = program.values[op.outputs[0]].size
    first = program.values[op.inputs[0]] if op.inputs else None
    if op.kind == "loop":
        return op.attrs["length"] * estimate_flops(op.attrs["body"])
    assert first is not None
    if op.kind == "matmul":
        return size * first.shape[-1]
    if op.kind in ("reduce", "cumulate"):
        return first.size
    if op.kind == "cholesky":
        return shape[0] * shape[1] ** 3 // 6 + size
    if op.kind == "solve_triangular":
        return size * (shape[1] + 1) // 2
    if op.kind in (*UNARY, *BINARY, "select", "take", "convert"):
        return size * PER_NUMBER.get(op.kind, 10 if op.kind in EXPENSIVE else 1)
    raise AssertionError(op.kind)
