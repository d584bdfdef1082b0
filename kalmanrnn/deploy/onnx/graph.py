"""An ONNX graph under construction, and the functions that append to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.extras import require
from kalmanrnn.deploy.ir.program import NUMPY, Value

# What opset 17 lacks (atan2, cholesky) is expanded, so that any runtime can run it.
OPSET, IR_VERSION = 17, 8


class Graph(NamedTuple):
    """A graph to append to; a loop's body has nodes of its own.

    nodes: in order. constants: (name, array) by content; shared with loop bodies, which read them
    from outside. numbers: makes names unique.
    """

    nodes: list[Any]
    constants: dict[Any, tuple[str, np.ndarray]]
    numbers: Iterator[int]


def unique_name(graph: Graph, stem: str) -> str:
    """Return a unique name."""
    return f"{stem}_{next(graph.numbers)}"


def node(graph: Graph, kind: str, *inputs: str, **attrs: Any) -> str:
    """Append an operator with one output; return that output's name."""
    return nodes(graph, kind, inputs, 1, **attrs)[0]


def nodes(
    graph: Graph, kind: str, inputs: tuple[str, ...], count: int, **attrs: Any
) -> tuple[str, ...]:
    """Append an operator with `count` outputs; return their names."""
    make_node = require("onnx.helper", "export", "write ONNX").make_node
    outputs = tuple(unique_name(graph, kind.lower()) for _ in range(count))
    graph.nodes.append(make_node(kind, list(inputs), list(outputs), **attrs))
    return outputs


def constant(graph: Graph, array: Any, name: str = "") -> str:
    """Return the name of a constant; equal ones are stored once unless they have a name."""
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    key = (name, array.dtype.str, array.shape, array.tobytes())
    if key not in graph.constants:
        taken = {known for known, _ in graph.constants.values()} if name else set()
        unique = name if name and name not in taken else unique_name(graph, name or "constant")
        graph.constants[key] = (unique, array)
    return graph.constants[key][0]


def integers(graph: Graph, *numbers: int) -> str:
    """Return the name of an int64 list, as operators take shapes, axes and bounds."""
    return constant(graph, np.asarray(numbers, np.int64))


def scalar(graph: Graph, x: float) -> str:
    """Return the name of a float32 scalar."""
    return constant(graph, np.float32(x))


def reshape(graph: Graph, name: str, *shape: int) -> str:
    """Append a reshape; -1 is inferred."""
    return node(graph, "Reshape", name, integers(graph, *shape))


def slice_axis(graph: Graph, name: str, axis: int, start: int, stop: int) -> str:
    """Append a slice `[start, stop)` along one axis."""
    bounds = (integers(graph, start), integers(graph, stop), integers(graph, axis))
    return node(graph, "Slice", name, *bounds)


def value_info(name: str, value: Value) -> Any:
    """Return the declaration of an input or output: name, type and shape."""
    helper = require("onnx.helper", "export", "write ONNX")
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[value.dtype]))
    return helper.make_tensor_value_info(name, dtype, value.shape)
