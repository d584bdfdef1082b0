"""Put loops of the same length together, so that what only they share stays in registers."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from kalmanrnn.deploy.c.element_loops import ElementLoop
from kalmanrnn.deploy.c.statements import LoopStatement, Statement, reads_of, writes_of
from kalmanrnn.deploy.c.tree import leaves

MAX_GROUP = 48


class Group(NamedTuple):
    """Fills that one nest of loops does.

    local: targets that nobody reads outside, and need no memory.
    """

    loops: tuple[ElementLoop, ...]
    local: frozenset[int]


class Block(NamedTuple):
    """Statements in the order to be done; a loop's own block is in `inner`, by its place."""

    steps: tuple[Group | Statement, ...]
    inner: dict[int, Block]


def fuse(statements: tuple[Statement, ...], kept: set[int]) -> Block:
    """Order statements so that loops of one shape meet, and group those.

    kept: values that must lie in memory, whoever reads them.
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
            inner[len(steps)] = fuse(first.body, kept)
        if _is_loop(first):
            fills = tuple(s for s in group if isinstance(s, ElementLoop))
            steps.append(Group(fills, _local(fills, readers, writers, kept)))
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
    # Where each value of the group is written, if one fill does it all.
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


def _scatters(fill: ElementLoop) -> bool:
    return getattr(fill.tree, "kind", "") == "scatter"


def _walk(fill: ElementLoop, which: int) -> tuple[int, tuple[int, ...]]:
    return fill.nest.bases[which], fill.nest.strides[which]


def _follows(
    fill: ElementLoop, walks: dict[int, tuple[int, tuple[int, ...]] | None], waiting: Counter[int]
) -> bool:
    """Whether all that a fill reads is done, or done in the same round of the group's loops."""
    for which, leaf in enumerate(leaves(fill.tree), start=1):
        if not isinstance(leaf.place, int):
            continue
        if leaf.place in walks:
            if walks[leaf.place] is None or walks[leaf.place] != _walk(fill, which):
                return False
        elif waiting[leaf.place] > 0:
            return False
    return True


def _local(
    fills: tuple[ElementLoop, ...], readers: Counter[int], writers: dict[int, int], kept: set[int]
) -> frozenset[int]:
    inside: Counter[int] = Counter()
    for fill in fills:
        inside.update(reads_of(fill))
    return frozenset(
        f.target
        for f in fills
        if f.target not in kept
        and writers[f.target] == 1
        and not _scatters(f)
        and inside[f.target] == readers[f.target]
    )
