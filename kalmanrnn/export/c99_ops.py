"""The text of statements: loops, matrix products, factors, the loop over ticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from kalmanrnn.export.c99_flat import Turns
from kalmanrnn.export.c99_fuse import Block, Group
from kalmanrnn.export.c99_index import LETTERS, index_text
from kalmanrnn.export.c99_stmt import Call, Fill, Operand, Product, Repeat
from kalmanrnn.export.c99_tree import C_TYPE, Leaf, Literal, Node, Tree, text_of, unbracket
from kalmanrnn.export.ir import Value

BLOCKED = 4
START = {"sum": "0.0f", "max": "-INFINITY", "min": "INFINITY", "and": "1", "or": "0"}
WITH = {
    "sum": "{0} + {1}",
    "prod": "{0} * {1}",
    "max": "fmax2({0}, {1})",
    "min": "fmin2({0}, {1})",
    "and": "{0} && {1}",
    "or": "{0} || {1}",
}


class Names(NamedTuple):
    """What values and tables are called in C; `single` are values that are no arrays."""

    values: dict[int, Value]
    name: dict[int, str]
    single: set[int]
    tables: dict[str, str]

    def of(self, place: int | str) -> str:
        """Return the name of a value or table."""
        return self.tables[place] if isinstance(place, str) else self.name[place]

    def at(self, place: int | str, index: str) -> str:
        """Write one element."""
        return self.of(place) if place in self.single else f"{self.of(place)}[{index}]"

    def pointer(self, leaf: Leaf) -> str:
        """Write where a contiguous leaf begins."""
        if leaf.place in self.single:
            return f"&{self.of(leaf.place)}"
        start = int(leaf.index[0])
        return f"{self.of(leaf.place)} + {start}" if start else self.of(leaf.place)

    def type_of(self, number: int) -> str:
        """Return a value's type in C."""
        return C_TYPE[self.values[number].dtype]


def expression(names: Names, fill: Fill, tree: Tree) -> str:
    """Write a fill's expression within its loops."""
    nest = fill.nest
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
        return text_of(tree._replace(operands=tuple(parts)), read)
    return text_of(tree, read)


def heads(dims: tuple[int, ...], first: int = 0) -> list[str]:
    """Write the heads of nested loops."""
    return [
        f"for (int {c} = 0; {c} < {n}; ++{c})"
        for c, n in zip(LETTERS[first : first + len(dims)], dims, strict=True)
    ]


def indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    """Move lines in by one step."""
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


def group_text(names: Names, group: Group) -> list[str]:
    """Write fills that share their loops."""
    body = []
    for fill in group.fills:
        text = expression(names, fill, fill.tree)
        if fill.target in group.local:
            body.append(f"const {names.type_of(fill.target)} v{fill.target} = {text};")
        else:
            body.append(f"{_target(names, fill, text)};")
    return nested(heads(group.fills[0].nest.dims), body)


def _target(names: Names, fill: Fill, text: str) -> str:
    nest = fill.nest
    if "\0" in text:
        at, text = text.split("\0")
        return f"{names.of(fill.target)}[{at}] = {unbracket(text)}"
    index = index_text(nest.bases[0], nest.strides[0], LETTERS[: len(nest.dims)])
    return f"{names.at(fill.target, index)} = {text}"


def fill_text(names: Names, fill: Fill) -> list[str]:
    """Write a fill of one element, or a reduction."""
    kind = names.type_of(fill.target)
    single = fill.target in names.single
    if not fill.how:
        text = _target(names, fill, expression(names, fill, fill.tree))
        return [f"const {kind} {text};" if single else f"{text};"]
    strides = fill.nest.strides[0]
    outer = next((d for d, s in enumerate(strides) if not s), len(strides))
    text = expression(names, fill, fill.tree)
    inner = heads(fill.nest.dims[outer:], outer)
    update = f"a = {WITH[fill.how].format('a', text)};"
    index = index_text(fill.nest.bases[0], strides, LETTERS[: len(strides)])
    result = f"{names.at(fill.target, index)} = a;"
    body = [f"{kind} a = {START[fill.how]};", *nested(inner, [update]), result]
    if fill.nest.dims[:outer]:
        return nested(heads(fill.nest.dims[:outer]), body)
    declared = [f"{kind} {names.of(fill.target)};"] if single else []
    return [*declared, "{", *indented(body), "}"]


def product_text(names: Names, product: Product) -> list[str]:
    """Write products as sums of rows times numbers: the inner loop is contiguous, and long."""
    batch, m, k, n = product.dims
    out = names.of(product.target)
    loops = [h for h, size in zip(heads((batch, m)), (batch, m), strict=True) if size > 1]
    row = index_text(0, (m * n if batch > 1 else 0, n if m > 1 else 0), "ij")

    def left(k_at: str) -> str:
        return _element(names, product.left, ("i", "j", k_at), batch, m)

    def right(k_at: str) -> str:
        return _element(names, product.right, ("i", k_at, "l"), batch, 0)

    def rounds(start: int, count: int, step: int) -> list[str]:
        at = [f"k + {p}" if p else "k" for p in range(step)]
        if count == step:
            at = [str(start + p) for p in range(step)]
        body = [f"const float f{p} = {left(at[p])};" for p in range(step)]
        total = " + ".join(f"f{p} * {right(at[p])}" for p in range(step))
        body += [f"for (int l = 0; l < {n}; ++l)", f"    y[l] += {total};"]
        if count == step:
            return ["{", *indented(body), "}"]
        return nested([f"for (int k = {start}; k < {start + count}; k += {step})"], body)

    whole = k - k % BLOCKED
    body = [f"float *restrict y = {out} + {row};" if row != "0" else f"float *restrict y = {out};"]
    body += [f"for (int l = 0; l < {n}; ++l)", "    y[l] = 0.0f;"]
    if whole:
        body += rounds(0, whole, BLOCKED)
    if k > whole:
        body += rounds(whole, k - whole, k - whole)
    return nested(loops, body) if loops else ["{", *indented(body), "}"]


def _element(names: Names, operand: Operand, at: tuple[str, ...], batch: int, m: int) -> str:
    strides = list(operand.strides)
    if batch == 1:
        strides[0] = 0
    if m == 1:
        strides[1] = 0
    parts = [f"({a})" if " " in a and s != 1 else a for a, s in zip(at, strides, strict=True)]
    base = operand.base
    kept, left = [], []
    for part, stride in zip(parts, strides, strict=True):
        if part.isdigit():
            base += int(part) * stride
        else:
            kept.append(part)
            left.append(stride)
    return names.at(operand.leaf.place, index_text(base, left, kept))


def call_text(names: Names, call: Call) -> list[str]:
    """Write an operation on whole arrays."""
    op, out = call.op, names.of(call.target)
    places = [names.pointer(leaf) for leaf in call.operands]
    shape = names.values[op.inputs[0]].shape
    if op.kind == "cumulate":
        return _cumulate(op.attrs["how"], shape, places[0], out)
    n = shape[-1]
    several, step = shape[0] > 1, n * n
    first = f"{places[0]} + {step} * i" if several else places[0]
    if op.kind == "cholesky":
        there = f"{out} + {step} * i" if several else out
        body = [f"float u[{step}];", f"cholesky({first}, {there}, u, {n});"]
        return nested(heads(shape[:1]), body) if several else ["{", *indented(body), "}"]
    m = names.values[op.inputs[1]].shape[-1]
    second = f"{places[1]} + {n * m} * i" if several else places[1]
    there = f"{out} + {n * m} * i" if several else out
    turned = bool(op.attrs.get("transpose"))
    row, column = (1, n) if turned else (n, 1)
    forward = int(bool(op.attrs.get("lower")) != turned)
    unit = int(bool(op.attrs.get("unit")))
    call_ = f"solve_triangular({first}, {row}, {column}, {forward}, {unit}, {second}, {there}, "
    body = [f"{call_}{n}, {m});"]
    return nested(heads(shape[:1]), body) if several else body


def _cumulate(how: str, shape: tuple[int, ...], place: str, out: str) -> list[str]:
    rows, n = shape
    update = WITH[how].format(f"y[{n} * i + j - 1]", f"x[{n} * i + j]")
    body = [
        f"const float *x = {place};",
        f"float *y = {out};",
        f"for (int i = 0; i < {rows}; ++i) {{",
        f"    y[{n} * i] = x[{n} * i];",
        f"    for (int j = 1; j < {n}; ++j)",
        f"        y[{n} * i + j] = {update};",
        "}",
    ]
    return ["{", *indented(body), "}"]


def turn_name(turns: Turns) -> str:
    """Return the loop's variable, its own: loops lie within one another."""
    inside = turns.carried[0][1] if turns.carried else turns.walked[0][1]
    return "tick" if turns.counted else f"turn{inside}"


def repeat_text(names: Names, repeat: Repeat, body: list[str]) -> list[str]:
    """Write a loop over the first axis of what is walked."""
    turns = repeat.turns
    lines: list[str] = []
    turn = turn_name(turns)
    text = "\n".join(body)
    for (_, inside), whole in zip(turns.walked, repeat.whole, strict=True):
        if not re.search(rf"\bw{inside}\b", text):
            continue
        size = names.values[inside].size
        step = turn if size == 1 else f"{size} * {turn}"
        kind = names.type_of(inside)
        lines.append(f"const {kind} *const w{inside} = {names.pointer(whole)} + {step};")
    lines += body
    for _, _, after, last in turns.carried:
        lines += _copy(names, after, f"{names.of(last)}[i]")
    for inside, whole in turns.collected:
        size = names.values[inside].size
        lines += _copy(names, inside, f"{names.of(whole)}[{size} * {turn} + i]")
    # What is collected has a row for each round, padding or not.
    few = turns.counted and not turns.collected
    bound = "n_ticks" if few else str(turns.length)
    return [f"for (int {turn} = 0; {turn} < {bound}; ++{turn}) {{", *indented(lines), "}"]


def _copy(names: Names, number: int, target: str) -> list[str]:
    size = names.values[number].size
    return [f"for (int i = 0; i < {size}; ++i)", f"    {target} = {names.at(number, 'i')};"]


def block_text(names: Names, block: Block, inner: dict[int, list[str]]) -> list[str]:
    """Write a block's statements in order, with a word on where they come from."""
    lines, last = [], ""
    for at, step in enumerate(block.steps):
        source = step.fills[0].source if isinstance(step, Group) else step.source
        if source and source != last:
            lines.append(f"/* {source.replace('*/', '')} */")
            last = source
        if isinstance(step, Group):
            lines += group_text(names, step)
        elif isinstance(step, Fill):
            lines += fill_text(names, step)
        elif isinstance(step, Product):
            lines += product_text(names, step)
        elif isinstance(step, Call):
            lines += call_text(names, step)
        else:
            lines += repeat_text(names, step, inner[at])
    return lines
