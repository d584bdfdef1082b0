"""Compile exported C with this machine's compiler, load it and run it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.errors import MISSING, UserError
from kalmanrnn.deploy.c.sizes import Sizes, carry_of, identifier, sizes_of
from kalmanrnn.deploy.machine.machine import Machine

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wdouble-promotion")
STRICT += ("-Wshadow", "-Wvla", "-Werror")


class CompiledC(NamedTuple):
    """A compiled export, loaded. carry: (name, size) of the state's fields, in order."""

    name: str
    library: Any
    sizes: Sizes
    carry: tuple[tuple[str, int], ...]


def find_compiler() -> str:
    """Return the C compiler's command; UserError if there is none."""
    found = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not found:
        raise UserError(
            "there is no C compiler",
            why="neither CC, cc nor gcc names one",
            cure="apt install gcc",
            code=MISSING,
        )
    return found


def compile_folder(folder: Path, name: str, options: Sequence[str] = ("-O2",)) -> Path:
    """Compile a folder's C into a shared library; UserError with the compiler's message."""
    library = folder / f"lib{name}.so"
    sources = sorted(str(path) for path in folder.glob(f"{name}*.c"))
    command = [find_compiler(), *STRICT, *options, "-fPIC", "-shared", "-o", str(library), *sources]
    done = subprocess.run([*command, "-lm"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"the C of {name} does not compile",
            why=done.stderr.strip()[:2000],
            cure="report it with the compiler's name and version",
        )
    return library


def load_library(machine: Machine, library: Path) -> CompiledC:
    """Load a shared library that `compile_folder` made."""
    carry = tuple(carry_of(machine))
    return CompiledC(identifier(machine.name), ctypes.CDLL(str(library)), sizes_of(machine), carry)


def _floats(values: Any) -> tuple[np.ndarray, ctypes.c_void_p]:
    array = np.ascontiguousarray(values, np.float32)
    return array, ctypes.c_void_p(array.ctypes.data)


def pack_state(built: CompiledC, carry: Mapping[str, Any]) -> np.ndarray:
    """Concatenate carry leaves by name into a state, float32."""
    parts = [np.asarray(carry[name], np.float32).reshape(size) for name, size in built.carry]
    return np.concatenate(parts)


def unpack_state(built: CompiledC, state: np.ndarray) -> dict[str, np.ndarray]:
    """Split a state into carry leaves by name."""
    ends = np.cumsum([size for _, size in built.carry])
    parts = np.split(state, ends[:-1])
    return {name: part.copy() for (name, _), part in zip(built.carry, parts, strict=True)}


def init(built: CompiledC, mean: Any, cov: Any = None) -> tuple[int, np.ndarray]:
    """Return a status and a new state."""
    state = np.full(sum(size for _, size in built.carry), np.nan, np.float32)
    keep, mean_at = _floats(mean)
    more, cov_at = _floats(cov) if cov is not None else (None, None)
    status = getattr(built.library, f"{built.name}_init")(
        ctypes.c_void_p(state.ctypes.data), mean_at, cov_at
    )
    del keep, more
    return status, state


def step(
    built: CompiledC,
    state: np.ndarray,
    z: Any,
    seen: Any,
    u: Any,
    dt: Any,
    n_ticks: int | None = None,
) -> tuple[int, dict[str, np.ndarray]]:
    """Update a state in place by one event; return a status and the outputs."""
    sizes = built.sizes
    d = sizes.d * sizes.d * sizes.cov
    output = np.full(sizes.x + d, np.nan, np.float32)
    z, z_at = _floats(z)
    u, u_at = _floats(u)
    dt, dt_at = _floats(dt)
    seen = np.ascontiguousarray(seen, np.uint8)
    ticks = dt.size if n_ticks is None else n_ticks
    status = getattr(built.library, f"{built.name}_step")(
        ctypes.c_void_p(state.ctypes.data),
        z_at,
        ctypes.c_void_p(seen.ctypes.data),
        u_at,
        dt_at,
        ctypes.c_int(ticks),
        ctypes.c_void_p(output.ctypes.data),
    )
    outputs = {"mean": output[: sizes.x]}
    if sizes.cov:
        outputs["cov"] = output[sizes.x :].reshape(sizes.d, sizes.d)
    return status, outputs
