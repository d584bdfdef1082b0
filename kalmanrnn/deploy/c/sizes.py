"""Lengths and names of what crosses the border between a machine and its C."""

from __future__ import annotations

import re
from typing import NamedTuple

from kalmanrnn.deploy.c.names import PORTABLE
from kalmanrnn.deploy.ir.program import Port, Program
from kalmanrnn.deploy.machine.machine import Machine


class Sizes(NamedTuple):
    """Lengths of the arrays that cross the border; 0 for what this machine does not have."""

    x: int
    d: int
    z: int
    s: int
    u: int
    ticks: int
    cov: bool


def sizes_of(machine: Machine) -> Sizes:
    """Return the lengths of a machine's arrays."""
    spec = machine.spec
    return Sizes(
        x=spec["state_dim"],
        d=spec["tangent_dim"],
        z=sum(len(s["channels"]) for s in spec["sensors"]),
        s=len(spec["sensors"]),
        u=len(spec["inputs"]),
        ticks=spec["max_ticks"],
        cov=any(port.name == "cov" for port in machine.step.outputs),
    )


def with_target(machine: Machine, target: str) -> Machine:
    """Let a machine know for which processor its C's loops are to be written."""
    return machine._replace(spec=machine.spec | {"target": target})


def target_of(machine: Machine) -> str:
    """Return what `for_target` told a machine."""
    return machine.spec.get("target", PORTABLE)


def identifier(name: str) -> str:
    """Make a name that C takes."""
    name = re.sub(r"\W", "_", name)
    return f"k_{name}" if not name or name[0].isdigit() else name


def carry_of(machine: Machine) -> list[tuple[str, int]]:
    """Return (name, numbers) of what is remembered between events."""
    return [(p.name, size_of(machine.init, p)) for p in machine.init.outputs]


def size_of(program: Program, port: Port) -> int:
    """Return the numbers of a port."""
    return program.values[port.value].size
