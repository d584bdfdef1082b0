"""Write a machine as C99: a folder to add to a robot's program."""

from __future__ import annotations

from pathlib import Path

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.deploy.c.header import render_header
from kalmanrnn.deploy.c.packaging import render_cmake, render_hpp
from kalmanrnn.deploy.c.selftest import Record, render_selftest
from kalmanrnn.deploy.c.sizes import identifier
from kalmanrnn.deploy.c.source import render_sources
from kalmanrnn.deploy.machine.machine import Machine


def render(machine: Machine, recorded: Record | None = None) -> dict[str, str]:
    """Return a machine's files, text by name; without a record there is no self-test."""
    name = identifier(machine.name)
    source, weights, stack = render_sources(machine, name)
    files = {
        f"{name}.h": render_header(machine, name, stack),
        f"{name}.c": source,
        f"{name}_weights.c": weights,
        f"{name}.hpp": render_hpp(machine, name),
        "CMakeLists.txt": render_cmake(name, selftest=recorded is not None),
    }
    if recorded is not None:
        files[f"{name}_selftest.c"] = render_selftest(machine, name, recorded)
    return files


def write_sources(machine: Machine, folder: Path, recorded: Record | None = None) -> list[Path]:
    """Write a machine's C files into a folder, made if missing; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in render(machine, recorded).items():
        paths.append(folder / name)
        atomic_write(paths[-1], text)
    return paths
