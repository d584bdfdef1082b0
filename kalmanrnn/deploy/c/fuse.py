"""Fuse loops of the same lengths, so that values only they use stay in registers."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from kalmanrnn.deploy.c.element_loops import ElementLoop
from kalmanrnn.deploy.c.statements import LoopStatement, Statement, reads_of, writes_of
from kalmanrnn.deploy.c.tree import leaves

MAX_GROUP = 48


class Group(NamedTuple):
    """Element loops that share one loop nest.

    local: targets that are not read outside, and need no memory.
    """

    loops: tuple[ElementLoop, ...]
    local: frozenset[int]


class Block(NamedTuple):
    """Statements in order of execution; a loop's own block is in `inner`, by its position."""

    steps: tuple[Group | Statement, ...]
    inner: dict[int, Block]


def fuse(statements: tuple[Statement, ...], stored: set[int]) -> Block:
    """Order statements so that loops of one shape are adjacent, and group those.

    stored: values that must be in memory in any case.
    """
    readers: Counter[int] = Counter()
    for statement in statements:
        readers.update(reads_of(statement))
    waiting: Counter[int] = Counter(t for s in statements for t in writes_of(s))
    writers = dict(waiting)
    pending = list(statements)
    steps: list[Group | Statement] = []
    inner: dict[int, Block] = {}
    while pending:
        group = _collect_group(pending, waiting, writers)
        chosen = {id(s) for s in group}
        pending = [s for s in pending if id(s) not in chosen]
        for statement in group:
            waiting.subtract(writes_of(statement))
        first = group[0]
        if isinstance(first, LoopStatement):
            inner[len(steps)] = fuse(first.body, stored)
        if _is_loop(first):
            loops = tuple(s for s in group if isinstance(s, ElementLoop))
            steps.append(Group(loops, _local(loops, readers, writers, stored)))
        else:
            steps.append(first)
    return Block(tuple(steps), inner)


def _is_loop(statement: Statement) -> bool:
    return (
        isinstance(statement, ElementLoop) and not statement.reduction and bool(statement.nest.dims)
    )


def _collect_group(
    pending: list[Statement], waiting: Counter[int], writers: dict[int, int]
) -> list:
    """Return the first statement and those that can share its loops."""
    first = pending[0]
    group = [first]
    if not _is_loop(first):
        return group
    assert isinstance(first, ElementLoop)
    # Where each value of the group is written, if by one loop.
    walks = {first.target: _walk(first, 0) if writers[first.target] == 1 else None}
    for other in pending[1:]:
        if len(group) == MAX_GROUP:
            break
        if (
            not isinstance(other, ElementLoop)
            or not _is_loop(other)
            or other.nest.dims != first.nest.dims
        ):
            continue
        if _scatters(other) or not _follows(other, walks, waiting):
            continue
        group.append(other)
        walks[other.target] = _walk(other, 0) if writers[other.target] == 1 else None
    return group


def _scatters(loop: ElementLoop) -> bool:
    return getattr(loop.tree, "kind", "") == "scatter"


def _walk(loop: ElementLoop, which: int) -> tuple[int, tuple[int, ...]]:
    return loop.nest.bases[which], loop.nest.strides[which]


def _follows(
    loop: ElementLoop, walks: dict[int, tuple[int, tuple[int, ...]] | None], waiting: Counter[int]
) -> bool:
    """Whether a loop's reads are complete, or computed in the same iteration of the group."""
    for which, leaf in enumerate(leaves(loop.tree), start=1):
        if not isinstance(leaf.place, int):
            continue
        if leaf.place in walks:
            if walks[leaf.place] is None or walks[leaf.place] != _walk(loop, which):
                return False
        elif waiting[leaf.place] > 0:
            return False
    return True


def _local(
    loops: tuple[ElementLoop, ...], readers: Counter[int], writers: dict[int, int], stored: set[int]
) -> frozenset[int]:
    inside: Counter[int] = Counter()
    for loop in loops:
        inside.update(reads_of(loop))
    return frozenset(
        f.target
        for f in loops
        if f.target not in stored
        and writers[f.target] == 1
        and not _scatters(f)
        and inside[f.target] == readers[f.target]
    )
