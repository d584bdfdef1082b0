"""Weights as bytes: products whose constant matrix is integers times a scale per column."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kalmanrnn.deploy.c.statements import LoopStatement, Operand, Product, Statement
from kalmanrnn.deploy.c.tree import Leaf, Table, Tables, table


def use_int8_weights(
    statements: tuple[Statement, ...], tables: Tables, scales: Mapping[str, np.ndarray]
) -> tuple[Statement, ...]:
    """Make products read bytes where their weight has scales; adds the tables of both."""
    if not scales:
        return statements
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Product):
            statement = _product(statement, tables, scales)
        elif isinstance(statement, LoopStatement):
            statement = statement._replace(body=use_int8_weights(statement.body, tables, scales))
        found.append(statement)
    return tuple(found)


def _product(product: Product, tables: Tables, scales: Mapping[str, np.ndarray]) -> Product:
    weight = _weight(tables, product.right.leaf.place)
    if weight is None or weight.weight not in scales:
        return product
    batch, m, k, n = product.dims
    scale = scales[weight.weight]
    _, row, column = product.right.strides
    assert batch == m == 1, (weight.weight, product.dims)
    assert column == 1, (weight.weight, product.right.strides)
    assert scale.shape == (n,), (weight.weight, scale.shape)
    at = product.right.base + row * np.arange(k)[:, None] + np.arange(n)
    matrix = weight.array[at]
    integers = np.rint(matrix / scale)
    # The network that is written must be the one that was verified, bit for bit.
    assert (integers.astype(np.float32) * scale == matrix).all(), weight.weight
    assert (np.abs(integers) <= 127).all(), weight.weight
    label = table(tables, integers.astype(np.int8).ravel(), weight.weight)
    right = Operand(Leaf(label, np.arange(k * n)), 0, (0, n, 1))
    by = Leaf(table(tables, scale, f"{weight.weight}.scale"), np.arange(n))
    return product._replace(right=right, scale=by)


def _weight(tables: Tables, place: int | str) -> Table | None:
    return next((t for t in tables.values() if t.name == place), None)
