"""Each operation of a program in ONNX operators; imports no jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kalmanrnn.core.extras import require
from kalmanrnn.deploy.ir.program import NUMPY, Op, Program, Value
from kalmanrnn.deploy.onnx.graph import (
    Graph,
    constant,
    integers,
    node,
    nodes,
    reshape,
    slice_axis,
    unique_name,
    value_info,
)
from kalmanrnn.deploy.onnx.linalg import cholesky, solve_triangular
from kalmanrnn.deploy.onnx.math_functions import elementwise


def emit(graph: Graph, program: Program, given: Mapping[int, str], ticks: str) -> dict[int, str]:
    """Append a whole program; return the name of every value of it.

    given: names of its inputs. ticks: the name of the run-time tick count, "" for none.
    """
    names = dict(given)
    for key, array in program.constants.items():
        names[key] = constant(graph, array, program.weights.get(key, ""))
    for op in program.ops:
        first = len(graph.nodes)
        for output, name in zip(
            op.outputs, _emit_op(graph, program, op, names, ticks), strict=True
        ):
            names[output] = name
        for written in graph.nodes[first:]:
            written.doc_string = op.source
    return names


def _emit_op(
    graph: Graph, program: Program, op: Op, names: Mapping[int, str], ticks: str
) -> tuple[str, ...]:
    inputs = tuple(names[i] for i in op.inputs)
    values = tuple(program.values[i] for i in op.inputs)
    if op.kind == "loop":
        return _loop(graph, op, inputs, ticks)
    out = program.values[op.outputs[0]]
    if op.kind in EMITTERS:
        return (EMITTERS[op.kind](graph, op, inputs, values, out),)
    # A single element may have more axes than the output; a scalar broadcasts.
    inputs = tuple(
        reshape(graph, name) if v.size == 1 and len(v.shape) > len(out.shape) else name
        for name, v in zip(inputs, values, strict=True)
    )
    name = elementwise(graph, op.kind, inputs, out)
    full = any(v.shape == out.shape for v in values)
    return (name if full else reshape(graph, name, *out.shape),)


def _take(graph: Graph, op: Op, inputs: Any, values: Any, out: Value) -> str:
    index = np.asarray(op.attrs["index"]).reshape(-1)
    if not index.size:
        return constant(graph, np.zeros(out.shape, NUMPY[out.dtype]))
    starts = np.cumsum([0, *(v.size for v in values)])
    owner = np.searchsorted(starts, index, side="right") - 1
    used = np.unique(owner)
    kept = np.zeros(len(values), int)
    kept[used] = np.cumsum([0, *(values[i].size for i in used[:-1])])
    index = index - starts[owner] + kept[owner]
    size = sum(values[i].size for i in used)
    flat = [inputs[i] if len(values[i].shape) == 1 else reshape(graph, inputs[i], -1) for i in used]
    whole = flat[0] if len(flat) == 1 else node(graph, "Concat", *flat, axis=0)
    if size == 1 and out.size > 1:
        return node(graph, "Expand", whole, integers(graph, *out.shape))
    if np.array_equal(index, np.arange(index[0], index[0] + index.size)):
        if index.size < size:
            whole = slice_axis(graph, whole, 0, int(index[0]), int(index[-1]) + 1)
        return whole if len(out.shape) == 1 else reshape(graph, whole, *out.shape)
    where = constant(graph, index.astype(np.int32).reshape(out.shape))
    return node(graph, "Gather", whole, where, axis=0)


def _matmul(graph: Graph, op: Op, inputs: Any, values: Any, out: Value) -> str:
    return node(graph, "MatMul", *inputs)


def _reduce(graph: Graph, op: Op, inputs: Any, values: Any, out: Value) -> str:
    how = op.attrs["how"]
    if how == "sum":
        return node(graph, "ReduceSum", inputs[0], integers(graph, 1), keepdims=0)
    if how in ("max", "min"):
        return node(graph, f"Reduce{how.capitalize()}", inputs[0], axes=[1], keepdims=0)
    tensor = require("onnx", "export", "write ONNX").TensorProto
    ones = node(graph, "Cast", inputs[0], to=tensor.INT32)
    kind = {"and": "ReduceMin", "or": "ReduceMax"}[how]
    return node(graph, "Cast", node(graph, kind, ones, axes=[1], keepdims=0), to=tensor.BOOL)


def _cumulate(graph: Graph, op: Op, inputs: Any, values: Any, out: Value) -> str:
    how, n = op.attrs["how"], out.shape[1]
    if how == "sum":
        return node(graph, "CumSum", inputs[0], constant(graph, np.int64(1)))
    # Row i of [r, n, n] holds the elements up to i, then neutral ones.
    dtype = NUMPY[out.dtype]
    far = np.inf if out.dtype == "f32" else np.iinfo(dtype).max
    neutral = {"prod": 1, "max": -far, "min": far}[how]
    wide = reshape(graph, inputs[0], -1, 1, n)
    upto = constant(graph, np.tri(n, dtype=bool)[None])
    wide = node(graph, "Where", upto, wide, constant(graph, np.asarray(neutral, dtype)))
    return node(graph, f"Reduce{how.capitalize()}", wide, axes=[2], keepdims=0)


def _cholesky(graph: Graph, op: Op, inputs: Any, values: Any, out: Value) -> str:
    return cholesky(graph, inputs[0], out.shape[-1], op.source)


def _solve(graph: Graph, op: Op, inputs: Any, values: Any, out: Value) -> str:
    a, b = inputs
    how = {key: bool(op.attrs.get(key, False)) for key in ("lower", "transpose", "unit")}
    return solve_triangular(graph, a, b, values[0].shape[-1], **how, source=op.source)


EMITTERS = {
    "take": _take,
    "matmul": _matmul,
    "reduce": _reduce,
    "cumulate": _cumulate,
    "cholesky": _cholesky,
    "solve_triangular": _solve,
}


def _loop(graph: Graph, op: Op, inputs: tuple[str, ...], ticks: str) -> tuple[str, ...]:
    """Append a Loop whose body reads captured and walked values from outside."""
    body: Program = op.attrs["body"]
    captured, carried = op.attrs["captured"], op.attrs["carried"]
    collected = len(op.outputs) - carried
    inside = graph._replace(nodes=[])
    count, go = unique_name(graph, "tick"), unique_name(graph, "go")
    carries = [unique_name(graph, "carried") for _ in range(carried)]
    walked = [node(inside, "Gather", name, count, axis=0) for name in inputs[captured + carried :]]
    order = (*inputs[:captured], *carries, *walked)
    given = {port.value: name for port, name in zip(body.inputs, order, strict=True)}
    names = emit(inside, body, given, ticks)
    after = [node(inside, "Identity", names[port.value]) for port in body.outputs]
    more = node(inside, "Identity", go)
    helper = require("onnx.helper", "export", "write ONNX")
    tensor = require("onnx", "export", "write ONNX").TensorProto
    types = [body.values[port.value] for port in body.inputs[captured : captured + carried]]
    last = [body.values[port.value] for port in body.outputs]
    scalars = (
        helper.make_tensor_value_info(count, tensor.INT64, ()),
        helper.make_tensor_value_info(go, tensor.BOOL, ()),
        helper.make_tensor_value_info(more, tensor.BOOL, ()),
    )
    written = helper.make_graph(
        inside.nodes,
        unique_name(graph, "body"),
        [*scalars[:2], *map(value_info, carries, types)],
        [scalars[2], *map(value_info, after, last)],
    )
    # Collected values need all their rows, those of padding too.
    short = op.attrs["counted"] and ticks and not collected
    trips = ticks if short else constant(graph, np.int64(op.attrs["length"]))
    start = (trips, constant(graph, np.bool_(True)), *inputs[captured : captured + carried])
    return nodes(graph, "Loop", start, len(op.outputs), body=written)
