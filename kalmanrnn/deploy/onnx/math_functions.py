"""Elementwise operations in ONNX operators of opset 17; those it lacks are expanded."""

from __future__ import annotations

import numpy as np

from kalmanrnn.core.extras import require
from kalmanrnn.deploy.ir.program import NUMPY, Value
from kalmanrnn.deploy.onnx.graph import Graph, node, scalar

# The others have the operator's name: add is Add.
RENAMED = {
    "logistic": "Sigmoid",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}


def elementwise(graph: Graph, kind: str, inputs: tuple[str, ...], out: Value) -> str:
    """Append a unary or binary operation, a select or a convert of what broadcasts to `out`."""
    x = inputs[0]
    match kind:
        case "rsqrt":
            return node(graph, "Reciprocal", node(graph, "Sqrt", x))
        case "ne":
            return node(graph, "Not", node(graph, "Equal", *inputs))
        case "rem":
            return node(graph, "Mod", *inputs, fmod=1)
        case "is_finite":
            not_finite = node(graph, "Or", node(graph, "IsInf", x), node(graph, "IsNaN", x))
            return node(graph, "Not", not_finite)
        case "select":
            return _where(graph, *inputs, dtype=out.dtype)
        case "convert":
            helper = require("onnx.helper", "export", "write ONNX")
            to = helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[out.dtype]))
            return node(graph, "Cast", x, to=to)
        case "expm1":
            # tanh keeps the digits that exp - 1 loses about 0.
            half = node(graph, "Tanh", node(graph, "Mul", x, scalar(graph, 0.5)))
            return node(graph, "Mul", half, _add(graph, node(graph, "Exp", x), 1.0))
        case "log1p":
            return _log1p(graph, x)
        case "atan2":
            return _atan2(graph, *inputs)
    return node(graph, RENAMED.get(kind, kind.capitalize()), *inputs)


def _add(graph: Graph, x: str, by: float) -> str:
    return node(graph, "Add", x, scalar(graph, by))


def _where(graph: Graph, pred: str, on_false: str, on_true: str, *, dtype: str) -> str:
    if dtype != "bool":
        return node(graph, "Where", pred, on_true, on_false)
    yes = node(graph, "And", pred, on_true)
    return node(graph, "Or", yes, node(graph, "And", node(graph, "Not", pred), on_false))


def _log1p(graph: Graph, x: str) -> str:
    """Append log(1 + x), exact to the last digits for small x (Goldberg 1991, theorem 4)."""
    one = scalar(graph, 1.0)
    more = node(graph, "Add", x, one)
    step = node(graph, "Sub", more, one)
    none = node(graph, "Equal", step, scalar(graph, 0.0))
    safe = node(graph, "Where", none, one, step)
    # Infinite x: the quotient would be inf / inf.
    far = node(graph, "Greater", x, scalar(graph, 1e8))
    ratio = node(graph, "Where", far, one, node(graph, "Div", x, safe))
    return node(graph, "Where", none, x, node(graph, "Mul", node(graph, "Log", more), ratio))


def _atan2(graph: Graph, y: str, x: str) -> str:
    """Append atan2(y, x) of finite numbers, with signed zeros."""
    zero, one = scalar(graph, 0.0), scalar(graph, 1.0)
    high, wide = node(graph, "Abs", y), node(graph, "Abs", x)
    top = node(graph, "Max", high, wide)
    safe = node(graph, "Where", node(graph, "Equal", top, zero), one, top)
    angle = node(graph, "Atan", node(graph, "Div", node(graph, "Min", high, wide), safe))
    steep = node(graph, "Greater", high, wide)
    other = node(graph, "Sub", scalar(graph, np.pi / 2), angle)
    angle = node(graph, "Where", steep, other, angle)
    back = node(graph, "Sub", scalar(graph, np.pi), angle)
    angle = node(graph, "Where", _negative(graph, x), back, angle)
    return node(graph, "Where", _negative(graph, y), node(graph, "Neg", angle), angle)


def _negative(graph: Graph, x: str) -> str:
    """Append whether the sign bit is set: 1 / -0 is minus infinity."""
    zero = scalar(graph, 0.0)
    below = node(graph, "Less", node(graph, "Reciprocal", x), zero)
    return node(graph, "Or", below, node(graph, "Less", x, zero))
