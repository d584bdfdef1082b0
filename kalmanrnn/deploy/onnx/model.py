"""A machine as two ONNX models: the step of one event, and the init.

`NAME.onnx` takes the carry as `LEAF_in`, the event's `z`, `seen`, `u`, `dt`, and `n_ticks`, the
number of ticks that are not padding; it returns the carry as `LEAF_out`, `mean` and, from
filters, `cov`. `NAME_init.onnx` takes `mean` and `cov` and returns every `LEAF_out`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.extras import require
from kalmanrnn.deploy.ir.program import Port, Program
from kalmanrnn.deploy.onnx.graph import IR_VERSION, OPSET, Graph, value_info
from kalmanrnn.deploy.onnx.operations import emit

if TYPE_CHECKING:
    from kalmanrnn.deploy.machine.machine import Machine

TICKS = "n_ticks"
SPEC = "kalmanrnn_spec"


def write_onnx(machine: Machine, folder: Path) -> list[Path]:
    """Write `NAME.onnx` and `NAME_init.onnx` into a folder; return their paths."""
    models = {machine.name: step_model(machine), f"{machine.name}_init": init_model(machine)}
    return [save_model(model, folder / f"{name}.onnx") for name, model in models.items()]


def step_model(machine: Machine) -> Any:
    """Return one event's step as an `onnx.ModelProto`."""
    program = machine.step
    leaves = set(machine.spec["carry"])

    def named(ports: tuple[Port, ...], suffix: str) -> list[str]:
        return [port.name + (suffix if port.name in leaves else "") for port in ports]

    inputs, outputs = named(program.inputs, "_in"), named(program.outputs, "_out")
    return build_model(program, machine.name, inputs, outputs, machine.spec, ticks=TICKS)


def init_model(machine: Machine) -> Any:
    """Return the first carry of a belief as an `onnx.ModelProto`."""
    program = machine.init
    inputs = [port.name for port in program.inputs]
    outputs = [f"{port.name}_out" for port in program.outputs]
    return build_model(program, f"{machine.name}_init", inputs, outputs, machine.spec)


def build_model(
    program: Program,
    name: str,
    inputs: list[str],
    outputs: list[str],
    spec: Mapping[str, Any],
    *,
    ticks: str = "",
) -> Any:
    """Return a program as a checked model, with names for its ports.

    ticks: name of an int64 `[1]` input that bounds the counted loops, "" for none.
    """
    helper = require("onnx.helper", "export", "write ONNX")
    graph = Graph([], {}, itertools.count())
    given = {port.value: port_name for port, port_name in zip(program.inputs, inputs, strict=True)}
    names = emit(graph, program, given, ticks)
    for port, port_name in zip(program.outputs, outputs, strict=True):
        graph.nodes.append(helper.make_node("Identity", [names[port.value]], [port_name]))
    entries = [value_info(name, program.values[value]) for value, name in given.items()]
    if ticks:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(np.int64))
        entries.append(helper.make_tensor_value_info(ticks, kind, (1,)))
    results = [
        value_info(port_name, program.values[port.value])
        for port, port_name in zip(program.outputs, outputs, strict=True)
    ]
    return finish_model(graph, name, entries, results, spec)


def finish_model(
    graph: Graph, name: str, inputs: list[Any], outputs: list[Any], spec: Mapping[str, Any]
) -> Any:
    """Return a graph as a model with the spec in its metadata, checked by onnx."""
    onnx = require("onnx", "export", "write ONNX")
    helper = onnx.helper
    read = names_read(graph.nodes)
    weights = [
        onnx.numpy_helper.from_array(array, key)
        for key, array in graph.constants.values()
        if key in read
    ]
    made = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="kalmanrnn",
        producer_version=str(spec.get("kalmanrnn", "")),
    )
    helper.set_model_props(made, {SPEC: json.dumps(spec)})
    try:
        onnx.checker.check_model(made, full_check=True)
    except Exception as problem:
        raise AssertionError(f"{name}: onnx rejects the model: {problem}") from problem
    return made


def names_read(nodes: Iterable[Any]) -> set[str]:
    """Return the names that operators read, those in loop bodies included."""
    bodies = [a.g.node for written in nodes for a in written.attribute if a.HasField("g")]
    return {name for written in nodes for name in written.input}.union(*map(names_read, bodies))


def save_model(model: Any, path: Path) -> Path:
    """Write a model atomically; UserError where the folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, model.SerializeToString(deterministic=True))
    except OSError as problem:
        raise UserError(
            f"cannot write {path}", why=str(problem), cure="choose a folder that you may write to"
        ) from None
    return path


def open_session(model: Path | bytes) -> Any:
    """Return an onnxruntime session on one thread that does not spin while it waits."""
    runtime = require("onnxruntime", "export", "run ONNX")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
