"""Loops over elements, chosen so that every index in them is affine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kalmanrnn.deploy.c.index import Nest, find_nest
from kalmanrnn.deploy.c.tree import Leaf, Literal, Node, Tables, Tree, leaves, table

MAX_UNROLLED = 8


class ElementLoop(NamedTuple):
    """Elements of `target` at `positions` are set to `tree`.

    nest: loops over the positions and, in order, the tree's leaves. reduction: the operation that
    combines elements at one position, "" where each has its own.
    """

    target: int
    positions: np.ndarray
    tree: Tree
    nest: Nest
    reduction: str
    source: str


def element_loops(
    tables: Tables, out: int, positions: np.ndarray, tree: Tree, source: str, reduction: str = ""
) -> Iterator[ElementLoop]:
    """Yield loops over elements; where none fits, loops over runs, or reads through a table."""
    nest = _nest(positions, tree)
    if nest is not None:
        yield ElementLoop(out, positions, tree, nest, reduction, source)
        return
    if not reduction:
        runs = _runs(positions, tree)
        if len(positions) <= MAX_UNROLLED or len(runs) <= MAX_UNROLLED:
            for run in runs:
                part = _take_rows(tree, run)
                nest = _nest(positions[run], part)
                assert nest is not None
                yield ElementLoop(out, positions[run], part, nest, reduction, source)
            return
    tree = _by_table(tables, positions, tree)
    nest = _nest(positions, tree)
    if nest is None:
        tables_at = table(tables, positions.astype(np.int32))
        tree = Node("scatter", "f32", "f32", (Leaf(tables_at, np.arange(len(positions))), tree))
        nest = _nest(np.arange(len(positions)), tree)
    assert nest is not None
    yield ElementLoop(out, positions, tree, nest, reduction, source)


def _nest(positions: np.ndarray, tree: Tree) -> Nest | None:
    return find_nest([positions, *(leaf.index for leaf in leaves(tree))])


def _runs(positions: np.ndarray, tree: Tree) -> list[np.ndarray]:
    """Return runs of elements in which every index is affine."""
    arrays = np.stack([positions, *(leaf.index for leaf in leaves(tree))], axis=1)
    runs, start = [], 0
    while start < len(arrays):
        steps = np.diff(arrays[start:], axis=0)
        breaks = np.flatnonzero((steps != steps[:1]).any(axis=1))
        end = start + 1 + (int(breaks[0]) if len(breaks) else len(steps))
        runs.append(np.arange(start, end))
        start = end
    return runs


def _take_rows(tree: Tree, rows: np.ndarray) -> Tree:
    if isinstance(tree, Leaf):
        return tree._replace(index=tree.index[rows])
    if isinstance(tree, Node):
        return tree._replace(operands=tuple(_take_rows(operand, rows) for operand in tree.operands))
    return tree


def _by_table(tables: Tables, positions: np.ndarray, tree: Tree) -> Tree:
    """Read leaves whose index is not affine through a table of indices."""
    if isinstance(tree, Node):
        parts = tuple(_by_table(tables, positions, operand) for operand in tree.operands)
        return tree._replace(operands=parts)
    if isinstance(tree, Literal) or find_nest([positions, tree.index]) is not None:
        return tree
    at = Leaf(table(tables, tree.index.astype(np.int32)), np.arange(len(positions)))
    whole = Leaf(tree.place, np.zeros(len(positions), int))
    return Node("gather", "f32", "f32", (whole, at))
