"""Write a machine as a folder that runs without kalmanrnn: data, and one file that needs numpy.

`spec.json` holds the facts and both programs, `weights.npz` and `weights.safetensors` their
constants. Nothing in them is ever executed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kalmanrnn.core.atomic_write import atomic_path, atomic_write
from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy import runtime
from kalmanrnn.deploy.ir.program import Program
from kalmanrnn.deploy.machine.machine import Machine

WEIGHTS, TENSORS, SPEC, RUNTIME = "weights.npz", "weights.safetensors", "spec.json", "runtime.py"
SHORT = 12


def write_archive(machine: Machine, folder: Path) -> list[Path]:
    """Write the folder; return its files. safetensors is left out where it is not installed."""
    arrays: dict[str, np.ndarray] = {}
    programs = {
        part.name: serialise_program(part, part.name, arrays)
        for part in (machine.step, machine.init)
    }
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / WEIGHTS) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    files = [WEIGHTS] + [TENSORS] * _write_tensors(folder / TENSORS, arrays)
    shutil.copyfile(runtime.__file__, folder / RUNTIME)
    spec = machine.spec | {"programs": programs}
    spec["files"] = {name: _sha256(folder / name) for name in files}
    spec["sha256"] = runtime.digest(spec)
    atomic_write(folder / SPEC, json.dumps(spec, allow_nan=False) + "\n")
    return [folder / name for name in (SPEC, *files, RUNTIME)]


def serialise_program(
    program: Program, prefix: str, arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Return a program as plain data; its constants are added to `arrays`, weights by name."""
    constants = {}
    for number, array in program.constants.items():
        name = program.weights.get(number, "")
        if not name or (name in arrays and not np.array_equal(arrays[name], array)):
            name = f"{prefix}.{name or 'constant'}_{number}"
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        constants[str(number)] = name
    ops = []
    for i, op in enumerate(program.ops):
        attrs = dict(op.attrs)
        if op.kind == "take":
            attrs["index"] = encode_index(attrs["index"])
        if op.kind == "loop":
            attrs["body"] = serialise_program(attrs["body"], f"{prefix}.loop_{i}", arrays)
        ops.append([op.kind, list(op.inputs), list(op.outputs), attrs, op.source])
    return {
        "name": program.name,
        "inputs": [list(port) for port in program.inputs],
        "outputs": [list(port) for port in program.outputs],
        "values": {str(n): [list(v.shape), v.dtype] for n, v in program.values.items()},
        "constants": constants,
        "ops": ops,
    }


def encode_index(index: np.ndarray) -> Any:
    """Encode an index: as a list, as runs of (start, step, count), or in base64."""
    index = np.asarray(index, "<i4")
    if index.size <= SHORT:
        return index.tolist()
    runs, start = [], 0
    while start < index.size:
        step = int(index[start + 1] - index[start]) if start + 1 < index.size else 0
        stop = start + 1
        while stop < index.size and index[stop] - index[stop - 1] == step:
            stop += 1
        runs += [int(index[start]), step, stop - start]
        start = stop
    if len(runs) < index.size:
        return {"runs": runs}
    return {"base64": base64.b64encode(index.tobytes()).decode()}


def _write_tensors(path: Path, arrays: Mapping[str, np.ndarray]) -> bool:
    """Write safetensors and read them back; return False without the package."""
    try:
        from safetensors.numpy import load_file, save_file
    except ImportError:
        path.unlink(missing_ok=True)
        return False
    # The package writes an array's memory as it is, whatever its strides.
    save_file({name: np.array(a, order="C") for name, a in arrays.items()}, path)
    again = load_file(path)
    for name, array in arrays.items():
        if again[name].tobytes() != array.tobytes() or again[name].shape != array.shape:
            raise UserError(
                f"{path} does not hold what was written",
                why=f"{name} reads back differently",
                cure="check the disk, and export again",
            )
    return True


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
