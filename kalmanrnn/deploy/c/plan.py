"""Decide which values of a program are stored; the others are expressions where they are read.

Reads are followed back from the outputs. A take that is a slice, a broadcast or a transpose
copies nothing; an elementwise operation read once becomes part of its reader's expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from kalmanrnn.deploy.c.flat import Flat, FlatLoop, FlatOp
from kalmanrnn.deploy.c.index import affine, contiguous
from kalmanrnn.deploy.ir.program import BINARY, UNARY

ELEMENTWISE = (*UNARY, *BINARY, "select", "convert")
MAX_DEPTH = 24
Layout = Callable[[np.ndarray], bool]


class Read(NamedTuple):
    """One reader's use of a value.

    index: which elements, in the reader's order. weight: how often it is read, at least.
    layout: what its index in memory must satisfy, None where an expression will do.
    splits: whether the reader can take elements from several values. depth: of its expression.
    """

    index: np.ndarray
    weight: int
    layout: Layout | None
    splits: bool
    depth: int


class MemoryPlan(NamedTuple):
    """A flat program, the operation behind each value, and the values that are stored."""

    flat: Flat
    makers: dict[int, FlatOp]
    memory: frozenset[int]


def plan_memory(flat: Flat) -> MemoryPlan:
    """Follow the reads of a flat program back from its outputs."""
    makers: dict[int, FlatOp] = {}
    _collect(flat.ops, makers)
    memory = {number for _, number in flat.inputs}
    reads: dict[int, list[Read]] = {}
    for _, number in flat.outputs:
        memory.add(number)
        _read_whole(flat, reads, number, None)
    _walk(flat, flat.ops, 0, reads, memory)
    return MemoryPlan(flat, makers, frozenset(memory))


def pieces(
    flat: Flat, op: FlatOp, index: np.ndarray
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Yield (positions, source, its index) for what a take at `index` reads."""
    ends = np.cumsum([flat.values[i].size for i in op.inputs])
    at = np.asarray(op.attrs["index"], np.int64).ravel()[index]
    part = np.searchsorted(ends, at, side="right")
    for which in np.unique(part):
        where = np.flatnonzero(part == which)
        source = op.inputs[which]
        yield where, source, at[where] - (ends[which] - flat.values[source].size)


def _collect(ops: tuple[FlatOp, ...], makers: dict[int, FlatOp]) -> None:
    for op in ops:
        makers.update(dict.fromkeys(op.outputs, op))
        _collect(op.body, makers)


def _read_whole(
    flat: Flat, reads: dict[int, list[Read]], number: int, layout: Layout | None
) -> None:
    """Add a read of a whole value, from memory if `layout` is given."""
    index = np.arange(flat.values[number].size)
    reads.setdefault(number, []).append(Read(index, 1, layout, False, 0))


def _walk(
    flat: Flat,
    ops: tuple[FlatOp, ...],
    level: int,
    reads: dict[int, list[Read]],
    memory: set[int],
) -> None:
    def demand(number: int, read: Read) -> None:
        if flat.level[number] != level and number not in flat.constants:
            # A loop reads it in every iteration.
            read = read._replace(weight=2 * read.weight)
        reads.setdefault(number, []).append(read)

    for op in reversed(ops):
        found = [r for o in op.outputs for r in reads.get(o, [])]
        if not found or not any(flat.values[o].size for o in op.outputs):
            continue
        forced = bool(memory.intersection(op.outputs))
        if op.kind in ELEMENTWISE:
            _elementwise(flat, op, found, forced, demand, memory)
        elif op.kind == "take":
            _take(flat, op, found, forced, demand, memory)
        else:
            memory.update(op.outputs)
            _whole(flat, op, demand)
            if op.kind == "loop":
                _enter(flat, op, reads, memory)


def _elementwise(flat, op, found, forced, demand, memory) -> None:
    size = flat.values[op.outputs[0]].size
    count = np.zeros(size, int)
    for read in found:
        np.add.at(count, read.index, read.weight)
    depth = 1 + max(read.depth for read in found)
    if forced or count.max() > 1 or depth > MAX_DEPTH or any(read.layout for read in found):
        memory.add(op.outputs[0])
        found, depth = [Read(np.arange(size), 1, None, False, 0)], 1
    for read in found:
        for number in op.inputs:
            index = read.index
            if flat.values[number].size == 1:
                index = np.zeros(len(index), int)
            demand(number, Read(index, read.weight, None, False, depth))


def _take(flat, op, found, forced, demand, memory) -> None:
    def passes(read: Read) -> bool:
        parts = list(pieces(flat, op, read.index))
        if len(parts) == 1:
            return read.layout is None or read.layout(parts[0][2])
        return read.splits

    if forced or not all(passes(read) for read in found):
        memory.add(op.outputs[0])
        found = [Read(np.arange(flat.values[op.outputs[0]].size), 1, None, True, 0)]
    for read in found:
        for _, source, index in pieces(flat, op, read.index):
            demand(source, read._replace(index=index))


def _whole(flat: Flat, op: FlatOp, demand: Callable[[int, Read], None]) -> None:
    """Add the reads of an operation with loops of its own."""

    def read(number: int, layout: Layout | None, *, splits: bool = False) -> None:
        demand(number, Read(np.arange(flat.values[number].size), 1, layout, splits, 0))

    if op.kind == "matmul":
        for number, layout in zip(op.inputs, matmul_layouts(flat, op), strict=True):
            read(number, layout)
    elif op.kind == "reduce":
        read(op.inputs[0], None)
    elif op.kind == "loop":
        loop: FlatLoop = op.attrs["loop"]
        for first, *_ in loop.carried:
            read(first, None, splits=True)
        for whole, _ in loop.walked:
            read(whole, contiguous)
    else:
        for number in op.inputs:
            read(number, contiguous)


def matmul_layouts(flat: Flat, op: FlatOp) -> tuple[Layout, Layout]:
    """Return the layouts that a matmul's operands must have in memory.

    The right one is read along its rows; only a single use may stride.
    """
    a, b = (flat.values[i].shape for i in op.inputs)
    if b[2] == 1 and a[1] > 1:
        a, b = (b[0], 1, b[1]), (a[0], a[2], a[1])
        right, left = _operand_layout(b, a[1], swapped=True), _operand_layout(a, 0, swapped=True)
        return right, left
    return _operand_layout(a, 0, swapped=False), _operand_layout(b, a[1], swapped=False)


def _operand_layout(dims: tuple[int, ...], uses: int, *, swapped: bool) -> Layout:
    def layout(index: np.ndarray) -> bool:
        shaped = np.asarray(index).reshape(dims[0], dims[2], dims[1]) if swapped else index
        index = shaped.transpose(0, 2, 1).ravel() if swapped else index
        found = affine(index, dims)
        return found is not None and (uses < 3 or dims[2] == 1 or found[1][2] in (0, 1))

    return layout


def _enter(flat: Flat, op: FlatOp, reads: dict[int, list[Read]], memory: set[int]) -> None:
    """Plan a loop's body, whose results must be stored."""
    loop: FlatLoop = op.attrs["loop"]
    level = flat.level[loop.carried[0][1]] if loop.carried else flat.level[loop.walked[0][1]]
    for _, inside, after, _ in loop.carried:
        memory.update((inside, after))
        _read_whole(flat, reads, after, contiguous)
    for _, inside in loop.walked:
        memory.add(inside)
    for inside, _ in loop.collected:
        memory.add(inside)
        _read_whole(flat, reads, inside, contiguous)
    _walk(flat, op.body, level, reads, memory)
