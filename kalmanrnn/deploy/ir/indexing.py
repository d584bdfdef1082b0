"""Lower jax's operations that only move data: all become one `take`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from kalmanrnn.deploy.ir.builder import Builder


def _broadcast(a: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    shape = [1] * len(p["shape"])
    for axis, n in zip(p["broadcast_dimensions"], a.shape, strict=True):
        shape[axis] = n
    return np.broadcast_to(a.reshape(shape), p["shape"])


def _slice(a: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    steps = p["strides"] or [1] * a.ndim
    cut = zip(p["start_indices"], p["limit_indices"], steps, strict=True)
    return a[tuple(slice(*c) for c in cut)]


def _reshape(a: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    if p.get("dimensions") is not None:
        a = a.transpose(p["dimensions"])
    return a.reshape(p["new_sizes"])


def _tile(a: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    return np.tile(a, p["reps"])


# One array in, one out.
SINGLE_INPUT: dict[str, Callable[[np.ndarray, dict[str, Any]], np.ndarray]] = {
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "reshape": _reshape,
    "tile": _tile,
    "squeeze": lambda a, p: np.squeeze(a, tuple(p["dimensions"])),
    "expand_dims": lambda a, p: np.expand_dims(a, tuple(p["dimensions"])),
    "transpose": lambda a, p: a.transpose(p["permutation"]),
    "rev": lambda a, p: np.flip(a, tuple(p["dimensions"])),
}
# Several arrays in, one out.
MULTI_INPUT: dict[str, Callable[[list[np.ndarray], dict[str, Any]], np.ndarray]] = {
    "concatenate": lambda many, p: np.concatenate(many, axis=p["dimension"]),
    "stack": lambda many, p: np.stack(many, axis=p.get("axis", p.get("dimension", 0))),
}


def element_ids(b: Builder, inputs: Sequence[int]) -> list[np.ndarray]:
    """Return the numbers of the elements of concatenated inputs, in the inputs' shapes."""
    found, start = [], 0
    for number in inputs:
        value = b.values[number]
        found.append(np.arange(start, start + value.size, dtype=np.int32).reshape(value.shape))
        start += value.size
    return found


def reindex(
    b: Builder, name: str, params: dict[str, Any], inputs: Sequence[int], source: str
) -> int:
    """Lower an operation of ONE or MANY."""
    ids = element_ids(b, inputs)
    index = (
        MULTI_INPUT[name](ids, params)
        if name in MULTI_INPUT
        else SINGLE_INPUT[name](ids[0], params)
    )
    return b.take(inputs, index, source)


def split(b: Builder, params: dict[str, Any], inputs: Sequence[int], source: str) -> list[int]:
    """Split along an axis."""
    ends = np.cumsum(params["sizes"])[:-1]
    parts = np.split(element_ids(b, inputs)[0], ends, axis=params["axis"])
    return [b.take(inputs, part, source) for part in parts]


def pad(b: Builder, params: dict[str, Any], inputs: Sequence[int], source: str) -> int:
    """Pad with a value at both ends and in between; negative padding cuts."""
    ids, filling = element_ids(b, inputs)
    for axis, (low, high, inner) in enumerate(params["padding_config"]):
        ids = np.moveaxis(ids, axis, 0)
        if inner:
            wide = np.full((max(len(ids) * (inner + 1) - inner, 0), *ids.shape[1:]), filling)
            wide[:: inner + 1] = ids
            ids = wide
        ends = [(max(low, 0), max(high, 0)), *[(0, 0)] * (ids.ndim - 1)]
        ids = np.pad(ids, ends, constant_values=filling)
        ids = ids[max(-low, 0) : len(ids) - max(-high, 0)]
        ids = np.moveaxis(ids, 0, axis)
    return b.take(inputs, ids, source)


def gather(b: Builder, params: dict[str, Any], inputs: Sequence[int], source: str) -> int:
    """Gather at known indices; what falls outside is filled as jax fills it."""
    source_ids = element_ids(b, inputs[:1])[0]
    found = jax.lax.gather(
        source_ids,
        b.known[inputs[1]],
        dimension_numbers=params["dimension_numbers"],
        slice_sizes=params["slice_sizes"],
        mode=params["mode"],
        fill_value=-1,
    )
    found = np.asarray(found)
    if not (found < 0).any():
        return b.take(inputs[:1], found, source)
    dtype, filling = b.values[inputs[0]].dtype, params["fill_value"]
    if filling is None:
        filling = {"f32": np.nan, "i32": np.iinfo(np.int32).min, "bool": True}[dtype]
    found = np.where(found < 0, source_ids.size, found)
    return b.take([inputs[0], b.const(filling, dtype)], found, source)


def dynamic_slice(b: Builder, params: dict[str, Any], inputs: Sequence[int], source: str) -> int:
    """Slice a window; where its position is unknown, select among all it may have."""
    ids, sizes = element_ids(b, inputs[:1])[0], params["slice_sizes"]

    def cut(starts: list[int]) -> int:
        axis = len(starts)
        if axis == ids.ndim:
            return b.take(inputs[:1], ids[_window(starts, sizes, ids.shape)], source)
        start, last = inputs[1 + axis], ids.shape[axis] - sizes[axis]
        if start in b.known:
            return cut([*starts, int(b.known[start])])
        found = cut([*starts, 0])
        for place in range(1, last + 1):
            # jax clamps a position beyond the last one.
            beyond = b.op("ge", [start, b.const(place, "i32")], (), "bool", source)
            case = [beyond, found, cut([*starts, place])]
            found = b.op("select", case, sizes, b.values[inputs[0]].dtype, source)
        return found

    return cut([])


def dynamic_update_slice(b: Builder, inputs: Sequence[int], source: str) -> int:
    """Replace a window at a known position."""
    starts = [int(b.known[i]) for i in inputs[2:]]
    ids, new = element_ids(b, inputs[:2])
    ids = ids.copy()
    ids[_window(starts, new.shape, ids.shape)] = new
    return b.take(inputs[:2], ids, source)


def _window(starts, sizes, shape) -> tuple[slice, ...]:
    begin = [min(max(s, 0), n - w) for s, w, n in zip(starts, sizes, shape, strict=True)]
    return tuple(slice(s, s + w) for s, w in zip(begin, sizes, strict=True))


def scatter(
    b: Builder, how: str, params: dict[str, Any], inputs: Sequence[int], source: str
) -> int:
    """Scatter to known indices; several updates of one element follow one another.

    how: "" to replace, or the operation that combines an update with the element.
    """
    target, indices, updates = inputs
    size = b.values[target].size
    dtype = b.values[target].dtype
    left = np.arange(b.values[updates].size, dtype=np.int32).reshape(b.values[updates].shape)
    while True:
        landed = np.asarray(
            jax.lax.scatter_max(
                np.full(b.values[target].shape, -1, np.int32),
                b.known[indices],
                left,
                dimension_numbers=params["dimension_numbers"],
                indices_are_sorted=params["indices_are_sorted"],
                unique_indices=False,
                mode=params["mode"],
            )
        )
        if (landed < 0).all():
            return target
        here = landed >= 0
        ids = np.arange(size).reshape(landed.shape)
        if not how:
            return b.take([target, updates], np.where(here, size + landed, ids), source)
        neutral = b.const({"add": 0, "sub": 0, "mul": 1}.get(how, 0), dtype)
        if how in ("max", "min"):
            fallen = b.take([target, updates], np.where(here, size + landed, ids), source)
        else:
            index = np.where(here, landed, left.size)
            fallen = b.take([updates, neutral], index, source)
        target = b.op(how, [target, fallen], landed.shape, dtype, source)
        left = np.where(np.isin(left, landed), -1, left).astype(np.int32)
