"""A program with one numbering for all values, loop bodies included; C is written from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.deploy.ir.program import BINARY, UNARY, Loop, Op, Program, Value


class FlatOp(NamedTuple):
    """One operation; a loop has `body` and a `FlatLoop` under attrs["loop"]."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: dict[str, Any]
    source: str
    body: tuple[FlatOp, ...] = ()


class FlatLoop(NamedTuple):
    """How a loop's values map to those of its body.

    carried: (first value, inside, next value, last value). walked: (whole, one slice).
    collected: (one slice, whole). counted: whether `n_ticks` bounds it at run time.
    """

    carried: tuple[tuple[int, int, int, int], ...]
    walked: tuple[tuple[int, int], ...]
    collected: tuple[tuple[int, int], ...]
    length: int
    counted: bool


class Flat(NamedTuple):
    """A program with one numbering of values; every output has an operation of its own.

    level: the loop a value is computed in, 0 for none.
    """

    values: dict[int, Value]
    constants: dict[int, np.ndarray]
    weights: dict[int, str]
    level: dict[int, int]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    ops: tuple[FlatOp, ...]


def flatten(program: Program) -> Flat:
    """Return a program renumbered, loop bodies too; captured values are read in place."""
    flat = Flat({}, {}, {}, {}, (), (), ())
    numbers: dict[int, int] = {}
    for port in program.inputs:
        numbers[port.value] = _new(flat, program.values[port.value], 0)
    ops = _ops(flat, program, numbers, 0)
    outputs = _copy_outputs(flat, ops, [numbers[p.value] for p in program.outputs], 0)
    return flat._replace(
        inputs=tuple((p.name, numbers[p.value]) for p in program.inputs),
        outputs=tuple(zip([p.name for p in program.outputs], outputs, strict=True)),
        ops=tuple(ops),
    )


def _new(flat: Flat, value: Value, level: int) -> int:
    number = len(flat.values)
    flat.values[number] = value
    flat.level[number] = level
    return number


def _ops(flat: Flat, program: Program, numbers: dict[int, int], level: int) -> list[FlatOp]:
    for old, array in program.constants.items():
        new = numbers[old] = _new(flat, program.values[old], 0)
        flat.constants[new] = np.asarray(array)
        if old in program.weights:
            flat.weights[new] = program.weights[old]
    ops = []
    for op in program.ops:
        inputs = tuple(numbers[i] for i in op.inputs)
        for old in op.outputs:
            numbers[old] = _new(flat, program.values[old], level)
        outputs = tuple(numbers[o] for o in op.outputs)
        if op.kind in (*UNARY, *BINARY, "select", "convert"):
            inputs = tuple(_broadcast(flat, ops, i, outputs[0], level) for i in inputs)
        if op.kind == "loop":
            ops.append(_loop(flat, op, inputs, outputs))
        else:
            ops.append(FlatOp(op.kind, inputs, outputs, op.attrs, op.source))
    return ops


def _broadcast(flat: Flat, ops: list[FlatOp], number: int, out: int, level: int) -> int:
    """Repeat an operand along its axes of length one, which elementwise operations broadcast."""
    given, wanted = flat.values[number], flat.values[out]
    if given.size in (1, wanted.size):
        return number
    whole = _new(flat, Value(wanted.shape, given.dtype), level)
    index = np.arange(given.size, dtype=np.int32).reshape(given.shape)
    index = np.broadcast_to(index, wanted.shape)
    ops.append(FlatOp("take", (number,), (whole,), {"index": index}, ""))
    return whole


def _loop(flat: Flat, op: Op, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> FlatOp:
    loop = Loop(**op.attrs)
    inner: dict[int, int] = {}
    level = len(flat.values)
    ports, first = loop.body.inputs, loop.captured + loop.carried
    for port, outer in zip(ports[: loop.captured], inputs[: loop.captured], strict=True):
        inner[port.value] = outer
    for port in ports[loop.captured :]:
        inner[port.value] = _new(flat, loop.body.values[port.value], level)
    body = _ops(flat, loop.body, inner, level)
    results = _copy_outputs(flat, body, [inner[p.value] for p in loop.body.outputs], level)
    inside = [inner[p.value] for p in ports]
    carried = zip(
        inputs[loop.captured : first],
        inside[loop.captured : first],
        results[: loop.carried],
        outputs[: loop.carried],
        strict=True,
    )
    walked = zip(inputs[first:], inside[first:], strict=True)
    collected = zip(results[loop.carried :], outputs[loop.carried :], strict=True)
    flat_loop = FlatLoop(tuple(carried), tuple(walked), tuple(collected), loop.length, loop.counted)
    return FlatOp("loop", inputs, outputs, {"loop": flat_loop}, op.source, tuple(body))


def _copy_outputs(flat: Flat, ops: list[FlatOp], wanted: list[int], level: int) -> list[int]:
    """Return values with an operation of their own, a copy where they had none."""
    made = {o for op in ops for o in op.outputs}
    out: list[int] = []
    for number in wanted:
        if number in made and number not in out:
            out.append(number)
            continue
        copy = _new(flat, flat.values[number], level)
        index = np.arange(flat.values[number].size, dtype=np.int32)
        ops.append(FlatOp("take", (number,), (copy,), {"index": index}, ""))
        out.append(copy)
    return out
