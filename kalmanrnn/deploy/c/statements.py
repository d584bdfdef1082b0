"""Statements: what is computed into memory, in order, before it is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kalmanrnn.deploy.c.element_loops import ElementLoop, element_loops
from kalmanrnn.deploy.c.flat import FlatLoop, FlatOp
from kalmanrnn.deploy.c.index import affine
from kalmanrnn.deploy.c.plan import ELEMENTWISE, MemoryPlan, pieces
from kalmanrnn.deploy.c.tree import Leaf, Literal, Node, Tables, leaves, split, table, tree_of


class Operand(NamedTuple):
    """A matrix in memory or a table: strides over (batch, row, column)."""

    leaf: Leaf
    base: int
    strides: tuple[int, int, int]


class Product(NamedTuple):
    """A batch of matrix products: `[batch, m, k]` with `[batch, k, n]`.

    scale: the table `[n]` that sums are multiplied with where `right` holds integers.
    """

    target: int
    dims: tuple[int, int, int, int]
    left: Operand
    right: Operand
    source: str
    scale: Leaf | None = None


class Call(NamedTuple):
    """An operation on whole arrays in memory: cholesky, solve_triangular, cumulate."""

    target: int
    op: FlatOp
    operands: tuple[Leaf, ...]
    source: str


class LoopStatement(NamedTuple):
    """A loop: first values are copied in before it, next values at the end of its body."""

    loop: FlatLoop
    whole: tuple[Leaf, ...]
    body: tuple[Statement, ...]
    source: str


Statement = ElementLoop | Product | Call | LoopStatement


def statements(plan: MemoryPlan, tables: Tables, ops: tuple[FlatOp, ...]) -> Iterator[Statement]:
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
            yield from _take(plan, tables, op, out, index)
        elif op.kind == "reduce":
            yield from _reduce(plan, tables, op)
        elif op.kind == "matmul":
            yield _product(plan, tables, op)
        elif op.kind == "loop":
            yield from _loop(plan, tables, op)
        else:
            operands = tuple(_leaf(plan, tables, i) for i in op.inputs)
            yield Call(op.outputs[0], op, operands, op.source)


def _elementwise(plan: MemoryPlan, tables: Tables, op: FlatOp) -> Iterator[ElementLoop]:
    out = op.outputs[0]
    index = np.arange(plan.flat.values[out].size)
    operands = []
    for i in op.inputs:
        at = np.zeros(len(index), int) if plan.flat.values[i].size == 1 else index
        operands.append(tree_of(plan, tables, i, at))
    takes = plan.flat.values[op.inputs[0]].dtype
    tree = Node(op.kind, plan.flat.values[out].dtype, takes, tuple(operands))
    yield from element_loops(tables, out, index, tree, op.source)


def _take(
    plan: MemoryPlan, tables: Tables, op: FlatOp, out: int, index: np.ndarray
) -> Iterator[ElementLoop]:
    """Yield the loops of a take that may read from several values."""
    for part, source, at in pieces(plan.flat, op, index):
        for where, number, inner in split(plan, source, at, index[part]):
            tree = tree_of(plan, tables, number, inner)
            yield from element_loops(tables, out, where, tree, op.source)


def _reduce(plan: MemoryPlan, tables: Tables, op: FlatOp) -> Iterator[ElementLoop]:
    out, source = op.outputs[0], op.inputs[0]
    rows, columns = plan.flat.values[source].shape
    tree = tree_of(plan, tables, source, np.arange(rows * columns))
    positions = np.repeat(np.arange(rows), columns)
    yield from element_loops(tables, out, positions, tree, op.source, op.attrs["how"])


def _leaf(plan: MemoryPlan, tables: Tables, number: int) -> Leaf:
    """Return a whole value in memory or in a table."""
    index = np.arange(plan.flat.values[number].size)
    tree = tree_of(plan, tables, number, index)
    if isinstance(tree, Literal):
        values = plan.flat.constants[_root(plan, number)].ravel()
        return Leaf(table(tables, np.resize(values[:1], len(index))), index)
    assert isinstance(tree, Leaf), number
    return tree


def _root(plan: MemoryPlan, number: int) -> int:
    while number not in plan.flat.constants:
        number = plan.makers[number].inputs[0]
    return number


def _product(plan: MemoryPlan, tables: Tables, op: FlatOp) -> Product:
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
    plan: MemoryPlan, tables: Tables, number: int, dims: tuple[int, ...], *, swapped: bool
) -> Operand:
    """Return a matrix in the order the product reads it; constants are stored in that order."""
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


def _loop(plan: MemoryPlan, tables: Tables, op: FlatOp) -> Iterator[Statement]:
    loop: FlatLoop = op.attrs["loop"]
    for first, _, _, last in loop.carried:
        index = np.arange(plan.flat.values[first].size)
        for where, number, at in split(plan, first, index, index):
            yield from element_loops(
                tables, last, where, tree_of(plan, tables, number, at), op.source
            )
    whole = tuple(_leaf(plan, tables, outer) for outer, _ in loop.walked)
    body = tuple(statements(plan, tables, op.body))
    yield LoopStatement(loop, whole, body, op.source)


def reads_of(statement: Statement) -> set[int]:
    """Return the numbers of the values in memory that a statement reads."""
    if isinstance(statement, ElementLoop):
        found = {leaf.place for leaf in leaves(statement.tree)}
    elif isinstance(statement, Product):
        found = {statement.left.leaf.place, statement.right.leaf.place}
    elif isinstance(statement, Call):
        found = {leaf.place for leaf in statement.operands}
    else:
        loop = statement.loop
        found = {leaf.place for leaf in statement.whole} | {last for *_, last in loop.carried}
        for inner in statement.body:
            found |= reads_of(inner)
        found |= {after for _, _, after, _ in loop.carried}
        found |= {inside for inside, _ in loop.collected}
    return {place for place in found if isinstance(place, int)}


def writes_of(statement: Statement) -> set[int]:
    """Return the numbers of the values in memory that a statement writes."""
    if isinstance(statement, LoopStatement):
        loop = statement.loop
        return {last for *_, last in loop.carried} | {whole for _, whole in loop.collected}
    return {statement.target}
