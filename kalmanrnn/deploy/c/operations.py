"""Statements as C, in order: loops over elements, reductions, loops of the program."""

from __future__ import annotations

import re

from kalmanrnn.deploy.c.array_calls import render_call
from kalmanrnn.deploy.c.element_loops import ElementLoop
from kalmanrnn.deploy.c.flat import FlatLoop
from kalmanrnn.deploy.c.fuse import Block, Group
from kalmanrnn.deploy.c.index import LETTERS, index_text
from kalmanrnn.deploy.c.names import COMBINE, Names, expression, indented, loop_heads, nested
from kalmanrnn.deploy.c.product import render_product
from kalmanrnn.deploy.c.statements import Call, LoopStatement, Product
from kalmanrnn.deploy.c.tree import unbracket

START = {"sum": "0.0f", "max": "-INFINITY", "min": "INFINITY", "and": "1", "or": "0"}


def render_group(names: Names, group: Group) -> list[str]:
    """Return element loops that share one loop nest as C."""
    body = []
    for element in group.loops:
        text = expression(names, element, element.tree)
        if element.target in group.local:
            body.append(f"const {names.type_of(element.target)} v{element.target} = {text};")
        else:
            body.append(f"{_target(names, element, text)};")
    return nested(loop_heads(group.loops[0].nest.dims), body)


def _target(names: Names, element: ElementLoop, text: str) -> str:
    nest = element.nest
    if "\0" in text:
        at, text = text.split("\0")
        return f"{names.of(element.target)}[{at}] = {unbracket(text)}"
    index = index_text(nest.bases[0], nest.strides[0], LETTERS[: len(nest.dims)])
    return f"{names.at(element.target, index)} = {text}"


def render_elements(names: Names, element: ElementLoop) -> list[str]:
    """Return an element loop of its own, or a reduction, as C."""
    kind = names.type_of(element.target)
    single = element.target in names.scalars
    if not element.reduction:
        text = _target(names, element, expression(names, element, element.tree))
        return [f"const {kind} {text};" if single else f"{text};"]
    strides = element.nest.strides[0]
    outer = next((d for d, s in enumerate(strides) if not s), len(strides))
    text = expression(names, element, element.tree)
    inner = loop_heads(element.nest.dims[outer:], outer)
    update = f"a = {COMBINE[element.reduction].format('a', text)};"
    index = index_text(element.nest.bases[0], strides, LETTERS[: len(strides)])
    result = f"{names.at(element.target, index)} = a;"
    body = [f"{kind} a = {START[element.reduction]};", *nested(inner, [update]), result]
    if element.nest.dims[:outer]:
        return nested(loop_heads(element.nest.dims[:outer]), body)
    declared = [f"{kind} {names.of(element.target)};"] if single else []
    return [*declared, "{", *indented(body), "}"]


def loop_variable(loop: FlatLoop) -> str:
    """Return the loop's variable, unique since loops are nested."""
    inside = loop.carried[0][1] if loop.carried else loop.walked[0][1]
    return "tick" if loop.counted else f"turn{inside}"


def render_loop(names: Names, statement: LoopStatement, body: list[str]) -> list[str]:
    """Return a loop over the first axis of its walked values as C."""
    loop = statement.loop
    lines: list[str] = []
    turn = loop_variable(loop)
    text = "\n".join(body)
    for (_, inside), whole in zip(loop.walked, statement.whole, strict=True):
        if not re.search(rf"\bw{inside}\b", text):
            continue
        size = names.values[inside].size
        step = turn if size == 1 else f"{size} * {turn}"
        kind = names.type_of(inside)
        lines.append(f"const {kind} *const w{inside} = {names.pointer(whole)} + {step};")
    lines += body
    for _, _, after, last in loop.carried:
        lines += _copy(names, after, f"{names.of(last)}[i]")
    for inside, whole in loop.collected:
        size = names.values[inside].size
        lines += _copy(names, inside, f"{names.of(whole)}[{size} * {turn} + i]")
    # Collected values have a row for each iteration, padding or not.
    few = loop.counted and not loop.collected
    bound = "n_ticks" if few else str(loop.length)
    return [f"for (int {turn} = 0; {turn} < {bound}; ++{turn}) {{", *indented(lines), "}"]


def _copy(names: Names, number: int, target: str) -> list[str]:
    size = names.values[number].size
    return [f"for (int i = 0; i < {size}; ++i)", f"    {target} = {names.at(number, 'i')};"]


def render_block(names: Names, block: Block, inner: dict[int, list[str]]) -> list[str]:
    """Return a block's statements in order, each with its source line as comment."""
    lines, last = [], ""
    for at, step in enumerate(block.steps):
        source = step.loops[0].source if isinstance(step, Group) else step.source
        if source and source != last:
            lines.append(f"/* {source.replace('*/', '')} */")
            last = source
        if isinstance(step, Group):
            lines += render_group(names, step)
        elif isinstance(step, ElementLoop):
            lines += render_elements(names, step)
        elif isinstance(step, Product):
            lines += render_product(names, step)
        elif isinstance(step, Call):
            lines += render_call(names, step)
        else:
            lines += render_loop(names, step, inner[at])
    return lines
