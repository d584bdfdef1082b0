"""The formats of an export behind one interface: arrays by port in, arrays by port out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.errors import MISSING, UserError
from kalmanrnn.deploy import runtime
from kalmanrnn.deploy.c import compiled
from kalmanrnn.deploy.c.sizes import identifier
from kalmanrnn.deploy.ir.program import Op, Port, Program, Value
from kalmanrnn.deploy.machine.archive import RUNTIME
from kalmanrnn.deploy.machine.machine import Machine
from kalmanrnn.deploy.options import FORMATS, NUMPY, ONNX, STABLEHLO, C

SEQUENCE, SEQUENCE_SUFFIX = "onnx sequence", "_sequence.onnx"


class Backend(NamedTuple):
    """One format, ready to run: `init` and `step` map arrays by port name to arrays by port name.

    run_drive: maps a whole drive, events in rows, to its means; None for formats that run event
    by event.
    """

    name: str
    init: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
    step: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
    run_drive: Callable[[dict[str, np.ndarray]], np.ndarray] | None = None


def load_machine(folder: Path) -> Machine:
    """Read an export's programs and spec back; UserError where they are missing or damaged."""
    try:
        found = runtime.load(folder)
    except runtime.Damaged as problem:
        raise UserError(
            f"{folder} is not an export folder, or is damaged",
            why=str(problem)[:200],
            cure="kalmanrnn export RUN --out ANOTHER",
        ) from None
    return Machine(
        found.spec["name"], _program(found._step_ports), _program(found._init_ports), found.spec
    )


def _program(read: runtime.Program) -> Program:
    """Convert a program from the runtime's types to those of `ir.program`."""
    ops = []
    for op in read.ops:
        attrs = dict(op.attrs)
        if op.kind == "loop":
            attrs["body"] = _program(attrs["body"])
        ops.append(Op(op.kind, op.inputs, op.outputs, attrs, op.source))
    values = {number: Value(v.shape, v.dtype) for number, v in read.values.items()}  # pyright: ignore
    inputs, outputs = (tuple(Port(*p) for p in ports) for ports in (read.inputs, read.outputs))
    return Program(read.name, inputs, outputs, values, read.constants, {}, tuple(ops))


def numpy_backend(folder: Path, machine: Machine) -> Backend:
    """Run the numpy runtime's programs."""
    return Backend(
        f"numpy ({RUNTIME})",
        lambda given: runtime.run_program(machine.init, given),
        lambda given: runtime.run_program(machine.step, given),
    )


def c_backend(folder: Path, machine: Machine) -> Backend:
    """Compile the folder's C strictly and run it."""
    name = identifier(machine.name)
    with tempfile.TemporaryDirectory(prefix="kalmanrnn-") as copy:
        for path in (folder / C).iterdir():
            (Path(copy) / path.name).write_bytes(path.read_bytes())
        built = compiled.load_library(machine, compiled.compile_folder(Path(copy), name))

    def init(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        status, state = compiled.init(built, given["mean"], given.get("cov"))
        _check_status(status)
        return _reshape_outputs(machine, compiled.unpack_state(built, state))

    def step(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        state = compiled.pack_state(built, given)
        z, seen, u, dt = (given.get(n, np.zeros(0)) for n in ("z", "seen", "u", "dt"))
        status, outputs = compiled.step(built, state, z, seen, u, dt)
        _check_status(status)
        return _reshape_outputs(machine, compiled.unpack_state(built, state) | outputs)

    return Backend("C99", init, step)


def onnx_backend(folder: Path, machine: Machine) -> Backend:
    """Run the ONNX models in onnxruntime, one thread."""
    from kalmanrnn.deploy.onnx.model import open_session

    sessions = [
        open_session(folder / ONNX / f"{name}.onnx")
        for name in (f"{machine.name}_init", machine.name)
    ]

    def run(session: Any, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        wanted = {i.name: i.name.removesuffix("_in") for i in session.get_inputs()}
        feed = {n: np.asarray(given[port]) for n, port in wanted.items() if port in given}
        if "n_ticks" in wanted:
            feed["n_ticks"] = np.array([len(given["dt"])], np.int64)
        names = [o.name for o in session.get_outputs()]
        return dict(
            zip([n.removesuffix("_out") for n in names], session.run(names, feed), strict=True)
        )

    return Backend("ONNX", lambda g: run(sessions[0], g), lambda g: run(sessions[1], g))


def stablehlo_backend(folder: Path, machine: Machine) -> Backend:
    """Run the StableHLO module in jax; it has no init, so that of numpy is used."""
    from kalmanrnn.deploy.stablehlo import read_stablehlo

    call = read_stablehlo(folder / STABLEHLO / f"{machine.name}.stablehlo")
    ports = [port.name for port in machine.step.inputs]
    outputs = [port.name for port in machine.step.outputs]

    def step(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = call(*[given[name] for name in ports])
        return dict(zip(outputs, map(np.asarray, found), strict=True))

    return Backend("StableHLO", lambda given: runtime.run_program(machine.init, given), step)


def sequence_backend(folder: Path, machine: Machine) -> Backend:
    """Run the sequence model in onnxruntime; a step is a drive of one event."""
    from kalmanrnn.deploy.onnx.model import open_session

    session = open_session(folder / ONNX / f"{machine.name}{SEQUENCE_SUFFIX}")
    names = [o.name for o in session.get_outputs()]

    def run(features: np.ndarray, memory: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = session.run(names, {"features": features} | memory)
        return dict(zip([n.removesuffix("_out") for n in names], found, strict=True))

    def step(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        ports = [i.name for i in session.get_inputs()[1:]]
        memory = {port: np.asarray(given[port.removesuffix("_in")]) for port in ports}
        found = run(given["features"][None], memory)
        return found | {"mean": found["mean"][0]}

    def drive(given: dict[str, np.ndarray]) -> np.ndarray:
        memory = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()[1:]}
        return run(given["features"], memory)["mean"]

    return Backend("ONNX, sequence", lambda given: {}, step, drive)


OPENERS = {NUMPY: numpy_backend, C: c_backend, ONNX: onnx_backend, STABLEHLO: stablehlo_backend}
OPENERS[SEQUENCE] = sequence_backend


def formats_in(folder: Path, machine: Machine) -> list[str]:
    """Return the formats in an export folder; numpy is always there."""
    kinds = [kind for kind in FORMATS if kind == NUMPY or (folder / kind).is_dir()]
    sequence = (folder / ONNX / f"{machine.name}{SEQUENCE_SUFFIX}").exists()
    return kinds + [SEQUENCE] * sequence


def open_backend(kind: str, folder: Path, machine: Machine) -> Backend | str:
    """Open one format of an export, or return why this machine cannot run it."""
    try:
        return OPENERS[kind](folder, machine)
    except UserError as problem:
        if problem.code != MISSING:
            raise
        return problem.what


def _reshape_outputs(machine: Machine, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    shapes = {p.name: machine.step.values[p.value].shape for p in machine.step.outputs}
    return {name: np.asarray(a).reshape(shapes[name]) for name, a in found.items()}


def _check_status(status: int) -> None:
    if status:
        raise ValueError(f"the C returned status {status}")
