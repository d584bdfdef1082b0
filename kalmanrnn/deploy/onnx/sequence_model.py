"""A direct student over a whole drive as one ONNX model, with the LSTM operator.

Readings in, state out: no estimate feeds back into the features, so all events are computed at
once. For batch work; a robot uses the step.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.errors import UsageError
from kalmanrnn.core.extras import require
from kalmanrnn.deploy.ir.program import Value
from kalmanrnn.deploy.ir.tracing import trace
from kalmanrnn.deploy.onnx.graph import (
    Graph,
    constant,
    integers,
    node,
    nodes,
    reshape,
    scalar,
    unique_name,
    value_info,
)
from kalmanrnn.deploy.onnx.model import finish_model, save_model
from kalmanrnn.deploy.onnx.operations import emit
from kalmanrnn.models.recurrent import Layer, merge
from kalmanrnn.models.student import FEATURE_LIMIT, Normaliser, Student, correct
from kalmanrnn.scenarios.scenario import Scenario

# Ours are input, forget, candidate, output; ONNX has input, output, forget, candidate.
GATE_ORDER = (0, 3, 1, 2)


def write_sequence(
    name: str, student: Student, params: Any, norm: Normaliser, spec: dict[str, Any], folder: Path
) -> Path:
    """Write `NAME_sequence.onnx` into a folder; UserError unless a direct student of LSTMs."""
    model = sequence_model(name, student, params, norm, spec)
    return save_model(model, folder / f"{name}_sequence.onnx")


def sequence_model(
    name: str, student: Student, params: Any, norm: Normaliser, spec: dict[str, Any]
) -> Any:
    """Return the model: `features` `[E, F]`, not normalised, to `mean` `[E, X]`.

    The hidden state is `memory_0_h_in`, `memory_0_c_in`, ... (zeros at a drive's start) and
    `memory_0_h_out`, ..., so that a long drive can be run in pieces.
    """
    _check_kind(student)
    network = merge(student.graph, params)
    graph = Graph([], {}, itertools.count())
    width = norm.feature_mean.size
    x = _normalised(graph, norm)
    memory_in, memory_out = [], []
    for i, layer in enumerate(network.layers):
        names = [f"memory_{i}_{leaf}" for leaf in "hc"]
        x, after = _lstm(graph, layer, x, [f"{name}_in" for name in names], f"lstm{i}")
        value = Value((layer.hidden,), "f32")
        for leaf, last in zip(names, after, strict=True):
            _name_output(graph, reshape(graph, last, layer.hidden), f"{leaf}_out")
            memory_in.append(value_info(f"{leaf}_in", value))
            memory_out.append(value_info(f"{leaf}_out", value))
    x = node(graph, "Tanh", _linear(graph, network.head_map, x, "head"))
    raw = _linear(graph, network.out_map, x, "out")
    _name_output(graph, _state_rows(graph, student, norm, raw), "mean")
    space = student.scenario.space
    spec = {**spec, "features": feature_names(student.scenario)}
    inputs = [_rows("features", width), *memory_in]
    outputs = [_rows("mean", space.state_dim), *memory_out]
    return finish_model(graph, f"{name}_sequence", inputs, outputs, spec)


def feature_names(scenario: Scenario) -> list[str]:
    """Return the names of a direct student's features, in order; times in seconds."""
    channels = [f"{s.name}.{c.name}" for s in scenario.sensors for c in s.channels]
    angular = [bool(a) for a in scenario.angular]
    pairs = list(zip(channels, angular, strict=True))
    return [
        *(f"cos {name}" if angle else name for name, angle in pairs),
        *(f"sin {name}" for name, angle in pairs if angle),
        *(f"mean {c.name} since the last event" for c in scenario.inputs),
        *(f"{s.name} seen" for s in scenario.sensors),
        *(f"seconds since {s.name} before this event" for s in scenario.sensors),
        "seconds since the last event",
    ]


def _check_kind(student: Student) -> None:
    kind, cell = student.config.student, student.config.cell
    if kind != "direct" or cell != "lstm":
        raise UsageError(
            f"there is no sequence model of a {kind} student with {cell} cells",
            why="it needs a student without feedback, and ONNX's LSTM operator",
            cure="kalmanrnn train --student direct --cell lstm",
        )


def _normalised(graph: Graph, norm: Normaliser) -> str:
    """Append the features in units of their spread, bounded, as `[E, 1, F]`."""
    x = node(graph, "Sub", "features", _const(graph, norm.feature_mean))
    x = node(graph, "Div", x, _const(graph, norm.feature_std))
    x = node(graph, "Clip", x, scalar(graph, -FEATURE_LIMIT), scalar(graph, FEATURE_LIMIT))
    return node(graph, "Unsqueeze", x, integers(graph, 1))


def _lstm(
    graph: Graph, layer: Layer, x: str, memory: list[str], name: str
) -> tuple[str, tuple[str, str]]:
    """Append one layer over `[E, 1, F]`; return its outputs `[E, 1, H]` and last h and c."""
    hidden = layer.hidden

    def gates(kernel: Any) -> np.ndarray:
        parts = np.split(np.asarray(kernel, np.float32), 4, axis=-1)
        return np.concatenate([parts[i] for i in GATE_ORDER], axis=-1).T[None]

    assert layer.x_map.bias is not None
    bias = gates(layer.x_map.bias[...])
    weights = (
        constant(graph, gates(layer.x_map.kernel[...]), f"{name}.W"),
        constant(graph, gates(layer.h_map.kernel[...]), f"{name}.R"),
        constant(graph, np.concatenate([bias, np.zeros_like(bias)], axis=-1), f"{name}.B"),
    )
    h, c = (reshape(graph, m, 1, 1, hidden) for m in memory)
    y, *after = nodes(graph, "LSTM", (x, *weights, "", h, c), 3, hidden_size=hidden)
    return node(graph, "Squeeze", y, integers(graph, 1)), (after[0], after[1])


def _linear(graph: Graph, layer: Any, x: str, name: str) -> str:
    x = node(graph, "MatMul", x, _const(graph, layer.kernel[...], f"{name}.kernel"))
    return node(graph, "Add", x, _const(graph, layer.bias[...], f"{name}.bias"))


def _state_rows(graph: Graph, student: Student, norm: Normaliser, raw: str) -> str:
    """Append the map from the network's outputs `[E, 1, D]` to states `[E, X]`, by rows."""
    space = student.scenario.space

    def state_of(row: jax.Array) -> jax.Array:
        zero = jnp.zeros(space.state_dim)
        return correct(student, norm, zero, row, zero)[0]

    example = jax.ShapeDtypeStruct((space.tangent_dim,), jnp.float32)
    program = trace(state_of, "state", {"row": example}, ["mean"])
    inside = graph._replace(nodes=[])
    row, state = unique_name(graph, "row"), unique_name(graph, "state")
    names = emit(inside, program, {program.inputs[0].value: row}, "")
    _name_output(inside, names[program.outputs[0].value], state)
    body = require("onnx.helper", "export", "write ONNX").make_graph(
        inside.nodes,
        "state",
        [value_info(row, Value((space.tangent_dim,), "f32"))],
        [value_info(state, Value((space.state_dim,), "f32"))],
    )
    rows = reshape(graph, raw, -1, space.tangent_dim)
    return node(graph, "Scan", rows, body=body, num_scan_inputs=1)


def _name_output(graph: Graph, name: str, wanted: str) -> None:
    make_node = require("onnx.helper", "export", "write ONNX").make_node
    graph.nodes.append(make_node("Identity", [name], [wanted]))


def _rows(name: str, width: int) -> Any:
    """Return the declaration of a port with one row per event."""
    onnx = require("onnx", "export", "write ONNX")
    kind = onnx.TensorProto.FLOAT
    return onnx.helper.make_tensor_value_info(name, kind, ("events", width))


def _const(graph: Graph, array: Any, name: str = "") -> str:
    return constant(graph, np.asarray(array, np.float32), name)
