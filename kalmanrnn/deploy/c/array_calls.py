"""Calls on whole arrays: Cholesky factors, triangular solves, cumulative operations."""

from __future__ import annotations

from kalmanrnn.deploy.c.names import COMBINE, Names, indented, loop_heads, nested
from kalmanrnn.deploy.c.statements import Call


def render_call(names: Names, call: Call) -> list[str]:
    """Return an operation on whole arrays as C."""
    op, out = call.op, names.of(call.target)
    places = [names.pointer(leaf) for leaf in call.operands]
    shape = names.values[op.inputs[0]].shape
    if op.kind == "cumulate":
        return _cumulate(op.attrs["how"], shape, places[0], out)
    n = shape[-1]
    batched, step = shape[0] > 1, n * n
    first = f"{places[0]} + {step} * i" if batched else places[0]
    if op.kind == "cholesky":
        there = f"{out} + {step} * i" if batched else out
        body = [f"float u[{step}];", f"cholesky({first}, {there}, u, {n});"]
        return nested(loop_heads(shape[:1]), body) if batched else ["{", *indented(body), "}"]
    m = names.values[op.inputs[1]].shape[-1]
    second = f"{places[1]} + {n * m} * i" if batched else places[1]
    there = f"{out} + {n * m} * i" if batched else out
    transposed = bool(op.attrs.get("transpose"))
    row, column = (1, n) if transposed else (n, 1)
    forward = int(bool(op.attrs.get("lower")) != transposed)
    unit = int(bool(op.attrs.get("unit")))
    call_ = f"solve_triangular({first}, {row}, {column}, {forward}, {unit}, {second}, {there}, "
    body = [f"{call_}{n}, {m});"]
    return nested(loop_heads(shape[:1]), body) if batched else body


def _cumulate(how: str, shape: tuple[int, ...], place: str, out: str) -> list[str]:
    rows, n = shape
    update = COMBINE[how].format(f"y[{n} * i + j - 1]", f"x[{n} * i + j]")
    body = [
        f"const float *x = {place};",
        f"float *y = {out};",
        f"for (int i = 0; i < {rows}; ++i) {{",
        f"    y[{n} * i] = x[{n} * i];",
        f"    for (int j = 1; j < {n}; ++j)",
        f"        y[{n} * i + j] = {update};",
        "}",
    ]
    return ["{", *indented(body), "}"]
