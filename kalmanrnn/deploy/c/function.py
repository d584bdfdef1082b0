"""One program as one C function: flat arrays in, flat arrays out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from kalmanrnn.deploy.c.flat import Flat, FlatLoop, FlatOp, flatten
from kalmanrnn.deploy.c.fuse import Block, fuse
from kalmanrnn.deploy.c.int8 import use_int8_weights
from kalmanrnn.deploy.c.names import Names, indented
from kalmanrnn.deploy.c.operations import render_block
from kalmanrnn.deploy.c.plan import plan_memory
from kalmanrnn.deploy.c.product import fixed_point_bytes
from kalmanrnn.deploy.c.slots import Slot, assign_slots
from kalmanrnn.deploy.c.statements import LoopStatement, Product, Statement, statements
from kalmanrnn.deploy.c.tree import C_TYPE, Tables
from kalmanrnn.deploy.ir.program import Program
from kalmanrnn.deploy.options import PORTABLE


class Function(NamedTuple):
    """A function's text. stack: bytes of its arrays. counted: whether it takes `n_ticks`."""

    text: str
    stack: int
    counted: bool


def render_function(
    program: Program,
    name: str,
    tables: Tables,
    *,
    target: str = PORTABLE,
    scales: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Function:
    """Write a program as `static void name(const in..., out..., int n_ticks)`.

    Adds the tables it reads to `tables`; the caller writes those under their names. scales: of
    int8 weights, by name.
    """
    flat = flatten(program)
    planned = plan_memory(flat)
    steps = use_int8_weights(tuple(statements(planned, tables, flat.ops)), tables, scales)
    stored = _stored(flat)
    block = fuse(steps, stored)
    names = Names(flat.values, {}, set(), target)
    names.name.update({number: f"in_{port}" for port, number in flat.inputs})
    names.name.update({number: f"out_{port}" for port, number in flat.outputs})
    lines, stack = _block(names, block, stored, "a")
    text = "\n".join(lines)
    counted = "n_ticks" in text
    unused = [f"in_{port}" for port, _ in flat.inputs if not re.search(rf"\bin_{port}\b", text)]
    body = "\n".join(indented([f"(void){label};" for label in unused] + lines))
    head = f"static void {name}({_parameters(flat, counted)})"
    stack += max(_fixed_point_bytes(names, steps), default=0)
    return Function(f"{head}\n{{\n{body}\n}}", stack, counted)


def _fixed_point_bytes(names: Names, steps: tuple[Statement, ...]) -> Iterator[int]:
    for step in steps:
        if isinstance(step, Product):
            yield fixed_point_bytes(names, step)
        elif isinstance(step, LoopStatement):
            yield from _fixed_point_bytes(names, step.body)


def _block(names: Names, block: Block, stored: set[int], prefix: str) -> tuple[list[str], int]:
    slots = assign_slots(names, block, stored, prefix)
    inner, deepest = {}, 0
    for at, part in block.inner.items():
        inner[at], stack = _block(names, part, stored, chr(ord(prefix) + 1))
        deepest = max(deepest, stack)
    body = render_block(names, block, inner)
    unread = [s.name for s in slots if not _is_read(s.name, "\n".join(body))]
    lines = [f"{s.kind} {s.name}[{s.size}];" for s in slots]
    lines += [f"(void){name};" for name in unread] + body
    return lines, 4 * sum(_room(slots)) + deepest


def _is_read(name: str, text: str) -> bool:
    """Whether a text does more with an array than write to it."""
    writes = re.findall(rf"^\s*{name}\[.*?\] = ", text, re.MULTILINE)
    return len(re.findall(rf"\b{name}\b", text)) > len(writes)


def _room(slots: list[Slot]) -> Iterator[int]:
    return (slot.size for slot in slots)


def _stored(flat: Flat) -> set[int]:
    """Return values that must be in memory: outputs, and what loops carry or collect."""
    stored = {number for _, number in flat.outputs}

    def enter(ops: tuple[FlatOp, ...]) -> None:
        for op in ops:
            if op.kind == "loop":
                loop: FlatLoop = op.attrs["loop"]
                for _, inside, after, last in loop.carried:
                    stored.update((inside, after, last))
                for inside, whole in loop.collected:
                    stored.update((inside, whole))
                enter(op.body)

    enter(flat.ops)
    return stored


def _parameters(flat: Flat, counted: bool) -> str:
    kinds = {number: C_TYPE[flat.values[number].dtype] for number in flat.values}
    parts = [f"const {kinds[number]} *restrict in_{port}" for port, number in flat.inputs]
    parts += [f"{kinds[number]} *restrict out_{port}" for port, number in flat.outputs]
    parts += ["int n_ticks"] if counted else []
    return "\n    " + ",\n    ".join(parts)
