"""Statements: what is computed into memory, in order; loops over elements chosen, no text yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kalmanrnn.export.c99_flat import FlatOp, Turns
from kalmanrnn.export.c99_index import Nest, affine, nest_of
from kalmanrnn.export.c99_plan import ELEMENTWISE, Plan, pieces
from kalmanrnn.export.c99_tree import (
    Leaf,
    Literal,
    Node,
    Tables,
    Tree,
    leaves,
    split,
    table,
    tree_of,
)

UNROLLED = 8


class Fill(NamedTuple):
    """Elements of `target` at `positions` become what `tree` is there.

    nest: loops over positions and, in order, the tree's leaves; `trees` of one element each
    where a short list is clearer than loops. rounds: how many of one position's successive
    elements are put together by `how` (a reduction), 1 for none.
    """

    target: int
    positions: np.ndarray
    tree: Tree
    nest: Nest
    how: str
    source: str


class Operand(NamedTuple):
    """A matrix in memory or a table: strides over (batch, row, column)."""

    leaf: Leaf
    base: int
    strides: tuple[int, int, int]


class Product(NamedTuple):
    """A batch of matrix products: `[batch, m, k]` with `[batch, k, n]`."""

    target: int
    dims: tuple[int, int, int, int]
    left: Operand
    right: Operand
    source: str


class Call(NamedTuple):
    """An operation on whole arrays in memory: cholesky, solve_triangular, cumulate."""

    target: int
    op: FlatOp
    operands: tuple[Leaf, ...]
    source: str


class Repeat(NamedTuple):
    """A loop over ticks: first values are filled in before, next ones copied at its end."""

    turns: Turns
    whole: tuple[Leaf, ...]
    body: tuple[Statement, ...]
    source: str


Statement = Fill | Product | Call | Repeat


def statements(plan: Plan, tables: Tables, ops: tuple[FlatOp, ...]) -> Iterator[Statement]:
    """Yield the statements of a list of operations, those in memory only."""
    for op in ops:
        if not plan.memory.intersection(op.outputs):
            continue
        if not any(plan.flat.values[o].size for o in op.outputs):
            continue
        if op.kind in ELEMENTWISE:
            yield from _elementwise(plan, tables, op)
        elif op.kind == "take":
            [out] = op.outputs
            index = np.arange(plan.flat.values[out].size)
            yield from _move(plan, tables, op, out, index)
        elif op.kind == "reduce":
            yield from _reduce(plan, tables, op)
        elif op.kind == "matmul":
            yield _product(plan, tables, op)
        elif op.kind == "loop":
            yield from _repeat(plan, tables, op)
        else:
            operands = tuple(_leaf(plan, tables, i) for i in op.inputs)
            yield Call(op.outputs[0], op, operands, op.source)


def _elementwise(plan: Plan, tables: Tables, op: FlatOp) -> Iterator[Fill]:
    out = op.outputs[0]
    index = np.arange(plan.flat.values[out].size)
    operands = []
    for i in op.inputs:
        at = np.zeros(len(index), int) if plan.flat.values[i].size == 1 else index
        operands.append(tree_of(plan, tables, i, at))
    takes = plan.flat.values[op.inputs[0]].dtype
    tree = Node(op.kind, plan.flat.values[out].dtype, takes, tuple(operands))
    yield from fills(tables, out, index, tree, op.source)


def _move(plan: Plan, tables: Tables, op: FlatOp, out: int, index: np.ndarray) -> Iterator[Fill]:
    """Yield the fills of a take that may read from several values."""
    for part, source, at in pieces(plan.flat, op, index):
        for where, number, inner in split(plan, source, at, index[part]):
            tree = tree_of(plan, tables, number, inner)
            yield from fills(tables, out, where, tree, op.source)


def fills(
    tables: Tables, out: int, positions: np.ndarray, tree: Tree, source: str, how: str = ""
) -> Iterator[Fill]:
    """Yield loops over elements; where no loops fit, runs of them, or one by one, or by a table."""
    nest = _nest(positions, tree)
    if nest is not None:
        yield Fill(out, positions, tree, nest, how, source)
        return
    if not how:
        runs = _runs(positions, tree)
        if len(positions) <= UNROLLED or len(runs) <= UNROLLED:
            for run in runs:
                part = _pick(tree, run)
                nest = _nest(positions[run], part)
                assert nest is not None
                yield Fill(out, positions[run], part, nest, how, source)
            return
    tree = _by_table(tables, positions, tree)
    nest = _nest(positions, tree)
    if nest is None:
        tables_at = table(tables, positions.astype(np.int32))
        tree = Node("scatter", "f32", "f32", (Leaf(tables_at, np.arange(len(positions))), tree))
        nest = _nest(np.arange(len(positions)), tree)
    assert nest is not None
    yield Fill(out, positions, tree, nest, how, source)


def _nest(positions: np.ndarray, tree: Tree) -> Nest | None:
    return nest_of([positions, *(leaf.index for leaf in leaves(tree))])


def _runs(positions: np.ndarray, tree: Tree) -> list[np.ndarray]:
    """Return stretches of elements in which everything counts evenly."""
    arrays = np.stack([positions, *(leaf.index for leaf in leaves(tree))], axis=1)
    runs, start = [], 0
    while start < len(arrays):
        steps = np.diff(arrays[start:], axis=0)
        breaks = np.flatnonzero((steps != steps[:1]).any(axis=1))
        end = start + 1 + (int(breaks[0]) if len(breaks) else len(steps))
        runs.append(np.arange(start, end))
        start = end
    return runs


def _pick(tree: Tree, rows: np.ndarray) -> Tree:
    if isinstance(tree, Leaf):
        return tree._replace(index=tree.index[rows])
    if isinstance(tree, Node):
        return tree._replace(operands=tuple(_pick(operand, rows) for operand in tree.operands))
    return tree


def _by_table(tables: Tables, positions: np.ndarray, tree: Tree) -> Tree:
    """Read leaves that fit no loop through a table of their indices."""
    if isinstance(tree, Node):
        parts = tuple(_by_table(tables, positions, operand) for operand in tree.operands)
        return tree._replace(operands=parts)
    if isinstance(tree, Literal) or nest_of([positions, tree.index]) is not None:
        return tree
    at = Leaf(table(tables, tree.index.astype(np.int32)), np.arange(len(positions)))
    whole = Leaf(tree.place, np.zeros(len(positions), int))
    return Node("gather", "f32", "f32", (whole, at))


def _reduce(plan: Plan, tables: Tables, op: FlatOp) -> Iterator[Fill]:
    out, source = op.outputs[0], op.inputs[0]
    rows, columns = plan.flat.values[source].shape
    tree = tree_of(plan, tables, source, np.arange(rows * columns))
    positions = np.repeat(np.arange(rows), columns)
    yield from fills(tables, out, positions, tree, op.source, op.attrs["how"])


def _leaf(plan: Plan, tables: Tables, number: int) -> Leaf:
    """Return a whole value in memory or in a table."""
    index = np.arange(plan.flat.values[number].size)
    tree = tree_of(plan, tables, number, index)
    if isinstance(tree, Literal):
        values = plan.flat.constants[_root(plan, number)].ravel()
        return Leaf(table(tables, np.resize(values[:1], len(index))), index)
    assert isinstance(tree, Leaf), number
    return tree


def _root(plan: Plan, number: int) -> int:
    while number not in plan.flat.constants:
        number = plan.makers[number].inputs[0]
    return number


def _product(plan: Plan, tables: Tables, op: FlatOp) -> Product:
    a, b = op.inputs
    (batches, m, k), (others, _, n) = (plan.flat.values[i].shape for i in op.inputs)
    batch = max(batches, others)
    if n == 1 and m > 1:
        left = _operand(plan, tables, b, (others, 1, k), swapped=True)
        right = _operand(plan, tables, a, (batches, k, m), swapped=True)
        return Product(op.outputs[0], (batch, 1, k, m), left, right, op.source)
    left = _operand(plan, tables, a, (batches, m, k), swapped=False)
    right = _operand(plan, tables, b, (others, k, n), swapped=False)
    return Product(op.outputs[0], (batch, m, k, n), left, right, op.source)


def _operand(
    plan: Plan, tables: Tables, number: int, dims: tuple[int, ...], *, swapped: bool
) -> Operand:
    """Return a matrix as the product walks it; constants are stored in that order."""
    order = np.arange(plan.flat.values[number].size)
    if swapped:
        order = order.reshape(dims[0], dims[2], dims[1]).transpose(0, 2, 1).ravel()
    tree = tree_of(plan, tables, number, order)
    if isinstance(tree, Literal):
        values = plan.flat.constants[_root(plan, number)].ravel()
        tree = Leaf(table(tables, np.resize(values[:1], len(order))), np.arange(len(order)))
    assert isinstance(tree, Leaf), number
    found = affine(tree.index, dims)
    assert found is not None, number
    base, strides = found
    return Operand(tree, base, (strides[0], strides[1], strides[2]))


def _repeat(plan: Plan, tables: Tables, op: FlatOp) -> Iterator[Statement]:
    turns: Turns = op.attrs["turns"]
    for first, _, _, last in turns.carried:
        index = np.arange(plan.flat.values[first].size)
        for where, number, at in split(plan, first, index, index):
            yield from fills(tables, last, where, tree_of(plan, tables, number, at), op.source)
    whole = tuple(_leaf(plan, tables, outer) for outer, _ in turns.walked)
    body = tuple(statements(plan, tables, op.body))
    yield Repeat(turns, whole, body, op.source)


def reads_of(statement: Statement) -> set[int]:
    """Return the numbers of the values in memory that a statement reads."""
    if isinstance(statement, Fill):
        found = {leaf.place for leaf in leaves(statement.tree)}
    elif isinstance(statement, Product):
        found = {statement.left.leaf.place, statement.right.leaf.place}
    elif isinstance(statement, Call):
        found = {leaf.place for leaf in statement.operands}
    else:
        turns = statement.turns
        found = {leaf.place for leaf in statement.whole} | {last for *_, last in turns.carried}
        for inner in statement.body:
            found |= reads_of(inner)
        found |= {after for _, _, after, _ in turns.carried}
        found |= {inside for inside, _ in turns.collected}
    return {place for place in found if isinstance(place, int)}


def writes_of(statement: Statement) -> set[int]:
    """Return the numbers of the values in memory that a statement writes."""
    if isinstance(statement, Repeat):
        turns = statement.turns
        return {last for *_, last in turns.carried} | {whole for _, whole in turns.collected}
    return {statement.target}
