"""Assign names and memory to stored values; arrays that live at different times share a slot."""

from __future__ import annotations

from typing import NamedTuple

from kalmanrnn.deploy.c.element_loops import ElementLoop
from kalmanrnn.deploy.c.flat import FlatLoop
from kalmanrnn.deploy.c.fuse import Block, Group
from kalmanrnn.deploy.c.names import Names
from kalmanrnn.deploy.c.statements import LoopStatement, Statement, reads_of, writes_of


class Slot(NamedTuple):
    """An array of a block. last_use: the last step that needs its content."""

    name: str
    kind: str
    size: int
    last_use: int


def assign_slots(names: Names, block: Block, stored: set[int], prefix: str) -> list[Slot]:
    """Name the values of a block in `names`; return the arrays it needs."""
    last = _last_reads(block)
    slots: list[Slot] = []
    for at, step in enumerate(block.steps):
        for number in sorted(_targets(step)):
            if number in names.name:
                continue
            if isinstance(step, Group) and number in step.local:
                names.name[number] = f"v{number}"
                names.scalars.add(number)
            elif _is_single(names, step, number, stored):
                names.name[number] = f"s{number}"
                names.scalars.add(number)
            else:
                # A loop's carried values are read after the last step of its body.
                until = len(block.steps) if number in stored else last.get(number, at)
                _place(names, slots, number, at, until, prefix)
        if isinstance(step, LoopStatement):
            _alias(names, step.loop)
    return slots


def _targets(step: Group | Statement) -> set[int]:
    if isinstance(step, Group):
        return {fill.target for fill in step.loops}
    return writes_of(step)


def _is_single(names: Names, step: Group | Statement, number: int, stored: set[int]) -> bool:
    return isinstance(step, ElementLoop) and names.values[number].size == 1 and number not in stored


def _last_reads(block: Block) -> dict[int, int]:
    last: dict[int, int] = {}
    for at, step in enumerate(block.steps):
        parts = step.loops if isinstance(step, Group) else (step,)
        for part in parts:
            for number in reads_of(part) | writes_of(part):
                last[number] = at
    return last


def _place(names: Names, slots: list[Slot], number: int, at: int, until: int, prefix: str) -> None:
    """Take the smallest free slot that fits, grow the largest free one, or open a new one."""
    size, kind = names.values[number].size, names.type_of(number)
    free = [i for i, slot in enumerate(slots) if slot.last_use < at and slot.kind == kind]
    fits = [i for i in free if slots[i].size >= size]
    if fits:
        chosen = min(fits, key=lambda i: slots[i].size)
    elif free:
        chosen = max(free, key=lambda i: slots[i].size)
    else:
        chosen = len(slots)
        slots.append(Slot(f"{prefix}{chosen}", kind, size, until))
    slot = slots[chosen]
    slots[chosen] = slot._replace(size=max(slot.size, size), last_use=until)
    names.name[number] = slot.name


def _alias(names: Names, loop: FlatLoop) -> None:
    for _, inside, _, last in loop.carried:
        names.name[inside] = names.name[last]
    for _, inside in loop.walked:
        names.name[inside] = f"w{inside}"
