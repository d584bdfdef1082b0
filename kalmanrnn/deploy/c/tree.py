"""Expressions of values at given elements, down to memory, tables and literals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from kalmanrnn.deploy.c.math_functions import FUNCTIONS
from kalmanrnn.deploy.c.plan import MemoryPlan, pieces
from kalmanrnn.deploy.ir.program import Dtype

C_TYPE = {"f32": "float", "i32": "int", "bool": "int"}
INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "&&",
    "or": "||",
}


class Table(NamedTuple):
    """A constant array in C. weight: its name if it is a network's weight, else ""."""

    name: str
    array: np.ndarray
    weight: str


class Leaf(NamedTuple):
    """Elements in memory: of a value by number, or of a table by name."""

    place: int | str
    index: np.ndarray


class Literal(NamedTuple):
    """A number."""

    text: str


class Node(NamedTuple):
    """An operation on expressions. takes: the type of its first operand."""

    kind: str
    gives: Dtype
    takes: Dtype
    operands: tuple[Tree, ...]


Tree = Leaf | Literal | Node
Tables = dict[tuple[str, bytes], Table]


def tree_of(plan: MemoryPlan, tables: Tables, number: int, index: np.ndarray) -> Tree:
    """Return the expression of a value at `index`; a take in it must read from one value."""
    flat = plan.flat
    if number in flat.constants:
        return _constant(plan, tables, number, index)
    if number in plan.memory:
        return Leaf(number, index)
    op = plan.makers[number]
    if op.kind == "take":
        [(_, source, at)] = pieces(flat, op, index)
        return tree_of(plan, tables, source, at)
    operands = []
    for i in op.inputs:
        at = np.zeros(len(index), int) if flat.values[i].size == 1 else index
        operands.append(tree_of(plan, tables, i, at))
    takes = flat.values[op.inputs[0]].dtype
    return Node(op.kind, flat.values[number].dtype, takes, tuple(operands))


def split(
    plan: MemoryPlan, number: int, index: np.ndarray, where: np.ndarray
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Yield (positions, value, its index), each piece from one value that is not a take."""
    op = plan.makers.get(number)
    if op is None or op.kind != "take" or number in plan.memory:
        yield where, number, index
        return
    for part, source, at in pieces(plan.flat, op, index):
        yield from split(plan, source, at, where[part])


def _constant(plan: MemoryPlan, tables: Tables, number: int, index: np.ndarray) -> Leaf | Literal:
    array = plan.flat.constants[number].ravel()
    values = array[index]
    if len(values) and (values.view(np.uint8).reshape(len(values), -1) == _bytes(values[0])).all():
        return Literal(literal(values[0]))
    weight = plan.flat.weights.get(number, "")
    if weight and (np.diff(index) == 1).all():
        return Leaf(table(tables, array, weight), index)
    return Leaf(table(tables, values, weight), np.arange(len(values)))


def _bytes(value: np.generic) -> np.ndarray:
    return np.atleast_1d(value).view(np.uint8)


def table(tables: Tables, values: np.ndarray, weight: str = "") -> str:
    """Return the name of a table of values; equal ones share a table."""
    values = np.ascontiguousarray(values)
    key = (values.dtype.str, values.tobytes())
    if key not in tables:
        tables[key] = Table(f"t{len(tables)}", values, weight)
    return tables[key].name


def literal(value: np.generic) -> str:
    """Return a number that C reads back exactly."""
    if not isinstance(value, np.floating):
        return str(int(value))
    if not np.isfinite(value):
        return "NAN" if np.isnan(value) else ("INFINITY" if value > 0 else "(-INFINITY)")
    text = f"{value:.9g}"
    if "." not in text and "e" not in text:
        text += ".0"
    return f"({text}f)" if text.startswith("-") else f"{text}f"


def leaves(tree: Tree) -> Iterator[Leaf]:
    """Yield the reads from memory in an expression."""
    if isinstance(tree, Leaf):
        yield tree
    elif isinstance(tree, Node):
        for operand in tree.operands:
            yield from leaves(operand)


def render_tree(tree: Tree, read: Callable[[Leaf], str]) -> str:
    """Return an expression as C; `read` renders a leaf."""
    if isinstance(tree, Literal):
        return tree.text
    if isinstance(tree, Leaf):
        return read(tree)
    parts = [render_tree(operand, read) for operand in tree.operands]
    return _operation(tree, parts)


def _operation(node: Node, parts: list[str]) -> str:
    kind = node.kind
    if kind in INFIX:
        return f"({parts[0]} {INFIX[kind]} {parts[1]})"
    if kind == "select":
        return f"({parts[0]} ? {parts[2]} : {parts[1]})"
    if kind == "convert":
        return _convert(node, parts[0])
    if kind in ("neg", "not"):
        return f"({'-' if kind == 'neg' else '!'}{parts[0]})"
    kind = f"{kind}_int" if node.takes != "f32" else kind
    return f"{FUNCTIONS[kind]}({', '.join(unbracket(part) for part in parts)})"


def unbracket(text: str) -> str:
    """Drop brackets around a whole expression."""
    if not text.startswith("(") or not text.endswith(")"):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and i < len(text) - 1:
            return text
    inner = text[1:-1]
    return inner if any(f" {sign} " in inner for sign in (*INFIX.values(), "?")) else text


def _convert(node: Node, part: str) -> str:
    if node.gives == "bool":
        return f"({part} != {'0.0f' if node.takes == 'f32' else '0'})"
    return part if C_TYPE[node.gives] == C_TYPE[node.takes] else f"({C_TYPE[node.gives]}){part}"
