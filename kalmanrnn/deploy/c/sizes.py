"""Sizes and names of the arrays in a machine's C interface."""

from __future__ import annotations

import re
from typing import NamedTuple

from kalmanrnn.deploy.ir.program import Port, Program
from kalmanrnn.deploy.machine.machine import Machine
from kalmanrnn.deploy.options import PORTABLE


class Sizes(NamedTuple):
    """Lengths of the arrays of the interface; 0 for those that a machine does not have."""

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
    """Set the processor that a machine's C loops are written for."""
    return machine._replace(spec=machine.spec | {"target": target})


def target_of(machine: Machine) -> str:
    """Return the processor that a machine's C loops are written for."""
    return machine.spec.get("target", PORTABLE)


def identifier(name: str) -> str:
    """Return a name as a C identifier."""
    name = re.sub(r"\W", "_", name)
    return f"k_{name}" if not name or name[0].isdigit() else name


def carry_of(machine: Machine) -> list[tuple[str, int]]:
    """Return (name, size) of each array of the carry."""
    return [(p.name, size_of(machine.init, p)) for p in machine.init.outputs]


def size_of(program: Program, port: Port) -> int:
    """Return how many numbers a port has."""
    return program.values[port.value].size
