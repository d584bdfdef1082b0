"""One call of a primitive, and the steps that all lowering rules share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.deploy.ir import indexing
from kalmanrnn.deploy.ir.builder import Builder
from kalmanrnn.deploy.ir.program import Dtype, Value


class Call(NamedTuple):
    """One equation: its primitive and parameters, its inputs' numbers, its outputs' types."""

    name: str
    params: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[Value, ...]
    source: str


class Unsupported(Exception):  # noqa: N818
    """A primitive, or a use of one, that cannot be lowered; the message says why."""


# A rule is (builder, call) -> numbers of the outputs.
Rule = Callable[[Builder, Call], Sequence[int]]


def dtype_of(aval: Any) -> Dtype:
    """Return the type of an array; float64 and int64 constants of a user are cast."""
    kind = {"float64": "f32", "float32": "f32", "int64": "i32", "int32": "i32", "bool": "bool"}
    if str(aval.dtype) not in kind:
        raise Unsupported(f"it has type {aval.dtype}; exports have float32, int32 and bool")
    return kind[str(aval.dtype)]  # pyright: ignore[reportReturnType]


def elementwise(b: Builder, call: Call, kind: str, *inputs: int, dtype: Dtype | None = None) -> int:
    """Emit an elementwise operation of the call's output's shape."""
    out = call.outputs[0]
    spread = [broadcast(b, i, out.shape, call.source) for i in inputs]
    return b.op(kind, spread, out.shape, dtype or out.dtype, call.source)


def broadcast(b: Builder, value: int, shape: tuple[int, ...], source: str) -> int:
    """Repeat along axes of length 1, as arithmetic in jax does."""
    own = b.values[value]
    if own.size <= 1 or own.shape == shape:
        return value
    return b.take([value], np.broadcast_to(indexing.element_ids(b, [value])[0], shape), source)


def scalar(b: Builder, call: Call, value: float) -> int:
    """Return a scalar constant of the first input's type."""
    return b.const(value, b.values[call.inputs[0]].dtype)


def as_type(b: Builder, value: int, dtype: Dtype, source: str) -> int:
    """Convert where the type differs."""
    if b.values[value].dtype == dtype:
        return value
    return b.op("convert", [value], b.values[value].shape, dtype, source)
