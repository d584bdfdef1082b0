"""Write a machine as C99: a folder to be added to a robot's program as it is."""

from __future__ import annotations

from pathlib import Path

from kalmanrnn.deploy.c.extras import cmake_text, hpp_text
from kalmanrnn.deploy.c.header import header_text
from kalmanrnn.deploy.c.selftest import Record, selftest_text
from kalmanrnn.deploy.c.sizes import identifier
from kalmanrnn.deploy.c.source import sources_of
from kalmanrnn.deploy.machine.machine import Machine


def texts(machine: Machine, recorded: Record | None = None) -> dict[str, str]:
    """Return the files of a machine, text by name; without a record there is no self-test."""
    name = identifier(machine.name)
    source, weights, stack = sources_of(machine, name)
    files = {
        f"{name}.h": header_text(machine, name, stack),
        f"{name}.c": source,
        f"{name}_weights.c": weights,
        f"{name}.hpp": hpp_text(machine, name),
        "CMakeLists.txt": cmake_text(name, selftest=recorded is not None),
    }
    if recorded is not None:
        files[f"{name}_selftest.c"] = selftest_text(machine, name, recorded)
    return files


def emit(machine: Machine, folder: Path, recorded: Record | None = None) -> list[Path]:
    """Write a machine's C files into a folder, made if need be; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in texts(machine, recorded).items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
