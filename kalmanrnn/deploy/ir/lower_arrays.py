"""Lowering rules for operations on whole arrays: reductions, products, factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kalmanrnn.deploy.ir import indexing
from kalmanrnn.deploy.ir.builder import Builder
from kalmanrnn.deploy.ir.call import Call, as_type


def flatten_axes(b: Builder, value: int, axes: Sequence[int], source: str) -> tuple[int, list[int]]:
    """Move axes to the end and flatten to `[r, n]`; also return the order of axes."""
    shape = b.values[value].shape
    order = [axis for axis in range(len(shape)) if axis not in axes] + list(axes)
    n = int(np.prod([shape[axis] for axis in axes], dtype=int))
    ids = indexing.element_ids(b, [value])[0].transpose(order)
    r = int(np.prod([shape[axis] for axis in order[: len(shape) - len(axes)]], dtype=int))
    return b.take([value], ids.reshape(r, n), source), order


def reduce(b: Builder, call: Call) -> list[int]:
    """Reduce over any axes."""
    out = call.outputs[0]
    flat, _ = flatten_axes(b, call.inputs[0], call.params["axes"], call.source)
    r, n = b.values[flat].shape
    if n == 1:
        return [b.reshape(flat, out.shape, call.source)]
    how = call.name.removeprefix("reduce_")
    if how == "prod":
        total = b.op("cumulate", [flat], (r, n), out.dtype, call.source, how=how)
        return [b.take([total], (np.arange(r) * n + n - 1).reshape(out.shape), call.source)]
    small = b.op("reduce", [flat], (r,), out.dtype, call.source, how=how)
    return [b.reshape(small, out.shape, call.source)]


def argminmax(b: Builder, call: Call) -> list[int]:
    """Find the first index of the largest or smallest number."""
    out = call.outputs[0]
    flat, _ = flatten_axes(b, call.inputs[0], call.params["axes"], call.source)
    r, n = b.values[flat].shape
    dtype = b.values[flat].dtype
    how = call.name.removeprefix("arg")
    best = b.op("reduce", [flat], (r,), dtype, call.source, how=how)
    best = b.take([best], np.repeat(np.arange(r), n).reshape(r, n), call.source)
    there = b.op("eq", [flat, best], (r, n), "bool", call.source)
    place = b.const(np.broadcast_to(np.arange(n), (r, n)), "i32")
    place = b.op("select", [there, b.const(n, "i32"), place], (r, n), "i32", call.source)
    first = b.op("reduce", [place], (r,), "i32", call.source, how="min")
    return [b.reshape(first, out.shape, call.source)]


def cumulate(b: Builder, call: Call) -> list[int]:
    """Cumulate along any axis, in either direction."""
    out, axis = call.outputs[0], call.params["axis"]
    ids = np.moveaxis(indexing.element_ids(b, call.inputs)[0], axis, -1)
    back = np.arange(ids.size).reshape(ids.shape)
    if call.params["reverse"]:
        ids, back = ids[..., ::-1], back[..., ::-1]
    flat = (-1, out.shape[axis]) if out.shape[axis] else (0, 0)
    value = b.take(call.inputs, ids.reshape(flat), call.source)
    how = call.name.removeprefix("cum")
    shape = b.values[value].shape
    value = b.op("cumulate", [value], shape, out.dtype, call.source, how=how)
    return [b.take([value], np.moveaxis(back, -1, axis), call.source)]


def dot(b: Builder, call: Call) -> list[int]:
    """Lower any product of arrays to `[b, m, k]` times `[b, k, n]`."""
    (over_a, over_b), (batch_a, batch_b) = call.params["dimension_numbers"]
    out = call.outputs[0]
    parts = []
    for value, over, batch in zip(call.inputs, (over_a, over_b), (batch_a, batch_b), strict=True):
        value = as_type(b, value, out.dtype, call.source)
        shape = b.values[value].shape
        free = [axis for axis in range(len(shape)) if axis not in (*over, *batch)]
        count = [int(np.prod([shape[a] for a in axes], dtype=int)) for axes in (batch, free, over)]
        parts.append((value, list(batch), free, list(over), count))
    (left, batch, free, over, (n_batch, m, k)), (right, batch_r, free_r, over_r, (_, n, _)) = parts
    left = transpose_reshape(b, left, [*batch, *free, *over], (n_batch, m, k), call.source)
    right = transpose_reshape(b, right, [*batch_r, *over_r, *free_r], (n_batch, k, n), call.source)
    product = b.op("matmul", [left, right], (n_batch, m, n), out.dtype, call.source)
    return [b.reshape(product, out.shape, call.source)]


def transpose_reshape(
    b: Builder, value: int, order: list[int], shape: Sequence[int], source: str
) -> int:
    """Transpose and reshape."""
    if order == list(range(len(order))):
        return b.reshape(value, shape, source)
    return b.take(
        [value], indexing.element_ids(b, [value])[0].transpose(order).reshape(shape), source
    )


def cholesky(b: Builder, call: Call) -> list[int]:
    """Factor a batch of matrices, reading the lower half."""
    shape = call.outputs[0].shape
    flat = (int(np.prod(shape[:-2], dtype=int)), *shape[-2:])
    a = b.reshape(call.inputs[0], flat, call.source)
    return [b.reshape(b.op("cholesky", [a], flat, "f32", call.source), shape, call.source)]


def solve_triangular(b: Builder, call: Call) -> list[int]:
    """Solve a x = b; x a = b is a' x' = b'."""
    p, (a, right), out = call.params, call.inputs, call.outputs[0]
    shape = b.values[a].shape
    batch = int(np.prod(shape[:-2], dtype=int))
    a = b.reshape(a, (batch, *shape[-2:]), call.source)
    ids = indexing.element_ids(b, [right])[0].reshape(batch, *out.shape[-2:])
    if not p["left_side"]:
        ids = ids.transpose(0, 2, 1)
    right = b.take([right], ids, call.source)
    x = b.op(
        *("solve_triangular", [a, right], ids.shape, "f32", call.source),
        lower=bool(p["lower"]),
        transpose=bool(p["transpose_a"]) == bool(p["left_side"]),
        unit=bool(p["unit_diagonal"]),
    )
    if p["left_side"]:
        return [b.reshape(x, out.shape, call.source)]
    back = indexing.element_ids(b, [x])[0].transpose(0, 2, 1)
    return [b.take([x], back.reshape(out.shape), call.source)]


def iota(b: Builder, call: Call) -> list[int]:
    """Count along an axis."""
    out = call.outputs[0]
    count = np.arange(out.shape[call.params["dimension"]] if out.shape else 1)
    shape = [1] * len(out.shape)
    shape[call.params["dimension"]] = -1
    return [b.const(np.broadcast_to(count.reshape(shape), out.shape), out.dtype)]
