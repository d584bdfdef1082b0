"""A few lines that say what a machine holds and costs."""

from __future__ import annotations

from collections import Counter

from kalmanrnn.deploy.ir.program import Port
from kalmanrnn.deploy.machine.machine import Machine


def describe(machine: Machine) -> str:
    """Say in a few lines what a machine holds and costs."""
    spec, lines = machine.spec, [f"{machine.name}: {machine.spec['scenario']['summary']}"]
    kinds = Counter(op.kind for op in machine.step.ops)
    loops = [op.attrs for op in machine.step.ops if op.kind == "loop"]
    most = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(6))
    lines.append(f"step: {len(machine.step.ops)} operations ({most})")
    for loop in loops:
        lines.append(f"loop: {len(loop['body'].ops)} operations, up to {loop['length']} rounds")
    remembered = sum(machine.step.values[p.value].size for p in _carry(machine))
    lines.append(f"weights: {spec['weights']['count']} numbers; remembers {remembered}")
    lines.append(
        f"about {spec['multiply_adds_per_event'] / 1e3:.0f} thousand multiply-adds per event"
    )
    return "\n".join(lines)


def _carry(machine: Machine) -> list[Port]:
    names = set(machine.spec["carry"])
    return [port for port in machine.step.inputs if port.name in names]
