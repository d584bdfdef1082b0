"""What a machine costs on a robot, roughly, and a few lines that say so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kalmanrnn.export.ir import BINARY, UNARY, Op, Port, Program

if TYPE_CHECKING:
    from kalmanrnn.export.machine import Machine

# Rough, in multiplications and additions: what a number of each costs on a small processor.
PER_NUMBER = {"div": 4, "sqrt": 4, "rsqrt": 5, "take": 0, "convert": 0}
DEAR = {
    *("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("tanh", "logistic", "pow"),
}


def flops(program: Program) -> int:
    """Estimate the multiply-adds of one run; functions such as sine count as ten."""
    return sum(_cost(program, op) for op in program.ops)


def _cost(program: Program, op: Op) -> int:
    shape = program.values[op.outputs[0]].shape
    size = program.values[op.outputs[0]].size
    first = program.values[op.inputs[0]] if op.inputs else None
    if op.kind == "loop":
        return op.attrs["length"] * flops(op.attrs["body"])
    assert first is not None
    if op.kind == "matmul":
        return size * first.shape[-1]
    if op.kind in ("reduce", "cumulate"):
        return first.size
    if op.kind == "cholesky":
        return shape[0] * shape[1] ** 3 // 6 + size
    if op.kind == "solve_triangular":
        return size * (shape[1] + 1) // 2
    if op.kind in (*UNARY, *BINARY, "select", "take", "convert"):
        return size * PER_NUMBER.get(op.kind, 10 if op.kind in DEAR else 1)
    raise AssertionError(op.kind)


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
