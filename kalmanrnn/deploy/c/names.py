"""Names of values in generated C, and how loops and expressions are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kalmanrnn.deploy.c.element_loops import ElementLoop
from kalmanrnn.deploy.c.index import LETTERS, index_text
from kalmanrnn.deploy.c.tree import C_TYPE, Leaf, Literal, Node, Tree, render_tree, unbracket
from kalmanrnn.deploy.ir.program import Value
from kalmanrnn.deploy.options import PORTABLE

COMBINE = {
    "sum": "{0} + {1}",
    "prod": "{0} * {1}",
    "max": "fmax2({0}, {1})",
    "min": "fmin2({0}, {1})",
    "and": "{0} && {1}",
    "or": "{0} || {1}",
}


class Names(NamedTuple):
    """Names of values in C; `scalars` are those that are not arrays.

    target: the processor that loops are written for, one of `options.TARGETS`.
    """

    values: dict[int, Value]
    name: dict[int, str]
    scalars: set[int]
    target: str = PORTABLE

    def of(self, place: int | str) -> str:
        """Return the name of a value or table."""
        return place if isinstance(place, str) else self.name[place]

    def at(self, place: int | str, index: str) -> str:
        """Write one element."""
        return self.of(place) if place in self.scalars else f"{self.of(place)}[{index}]"

    def pointer(self, leaf: Leaf) -> str:
        """Return a pointer to a contiguous leaf."""
        if leaf.place in self.scalars:
            return f"&{self.of(leaf.place)}"
        start = int(leaf.index[0])
        return f"{self.of(leaf.place)} + {start}" if start else self.of(leaf.place)

    def type_of(self, number: int) -> str:
        """Return a value's type in C."""
        return C_TYPE[self.values[number].dtype]


def expression(names: Names, loop: ElementLoop, tree: Tree) -> str:
    """Return an expression within its loops."""
    nest = loop.nest
    walks = iter(list(zip(nest.bases, nest.strides, strict=True))[1:])

    def read(leaf: Leaf) -> str:
        base, strides = next(walks)
        return names.at(leaf.place, index_text(base, strides, LETTERS[: len(nest.dims)]))

    return unbracket(_text(tree, read))


def _text(tree: Tree, read) -> str:
    if isinstance(tree, Node) and tree.kind in ("gather", "scatter"):
        whole, at = (_text(operand, read) for operand in tree.operands)
        return f"{whole.removesuffix('[0]')}[{at}]" if tree.kind == "gather" else f"{whole}\0{at}"
    if isinstance(tree, Node):
        parts = [Literal(_text(operand, read)) for operand in tree.operands]
        return render_tree(tree._replace(operands=tuple(parts)), read)
    return render_tree(tree, read)


def loop_heads(dims: tuple[int, ...], first: int = 0) -> list[str]:
    """Return the heads of nested loops."""
    return [
        f"for (int {c} = 0; {c} < {n}; ++{c})"
        for c, n in zip(LETTERS[first : first + len(dims)], dims, strict=True)
    ]


def indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    """Indent lines by one step."""
    for line in lines:
        yield "    " + line


def nested(loops: list[str], body: list[str]) -> list[str]:
    """Put lines into loops."""
    for i, head in enumerate(reversed(loops)):
        if len(body) == 1 and i == 0:
            body = [head, *indented(body)]
        else:
            body = [f"{head} {{", *indented(body), "}"]
    return body
