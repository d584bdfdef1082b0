"""Lower scans to loops, and conditionals to a select or to the known branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.deploy.ir.builder import Builder
from kalmanrnn.deploy.ir.call import dtype_of
from kalmanrnn.deploy.ir.program import Loop, Port, Value

# (builder, jaxpr, arguments, counted, caller) -> outputs: `tracing.lower_jaxpr`.
LowerJaxpr = Callable[..., list[int]]


class LoopInput(NamedTuple):
    """An input of a loop: its role, its number outside, its port inside."""

    role: str
    outer: int
    port: Port


def cond(
    b: Builder, walk: LowerJaxpr, eqn: Any, inputs: tuple[int, ...], counted: set[int], source: str
) -> list[int]:
    """Lower the known branch; else compute all of them and select."""
    which, *rest = inputs
    branches = eqn.params["branches"]
    if which in b.known:
        chosen = int(np.clip(b.known[which], 0, len(branches) - 1))
        return walk(b, branches[chosen], rest, counted, source)
    each = [walk(b, branch, rest, counted, source) for branch in branches]
    found = each[0]
    for i, other in enumerate(each[1:], 1):
        # jax clamps an index beyond the last branch.
        how = "ge" if i == len(each) - 1 else "eq"
        pred = which
        if b.values[which].dtype != "bool":
            pred = b.op(how, [which, b.const(i, "i32")], (), "bool", source)
        found = [
            b.op("select", [pred, f, o], *b.values[f], source)
            for f, o in zip(found, other, strict=True)
        ]
    return found


def scan(
    b: Builder, walk: LowerJaxpr, eqn: Any, inputs: tuple[int, ...], counted: set[int], source: str
) -> list[int]:
    """Lower a scan to a loop; known values become constants inside, unused ones are dropped."""
    p = eqn.params
    n_carried, first_walked = p["num_carry"], p["num_consts"] + p["num_carry"]
    body = Builder(fold=b.fold)
    given, arguments = _loop_inputs(b, body, p, inputs, source)
    found = walk(body, p["jaxpr"], arguments, set(), source)
    kept = [i for i, n in enumerate(found) if body.values[n].size]
    ends = [Port(f"{'carried' if i < n_carried else 'collected'}_{i}", found[i]) for i in kept]
    needed = body.needed(ends)
    given = [g for g in given if g.role != "captured" or g.port.value in needed]
    loop = Loop(
        body=body.finish("loop", [g.port for g in given], ends),
        captured=sum(g.role == "captured" for g in given),
        carried=sum(g.role == "carried" for g in given),
        length=p["length"],
        counted=not p["reverse"] and bool(counted & set(inputs[first_walked:])),
    )
    types = [Value(v.aval.shape, dtype_of(v.aval)) for v in eqn.outvars]
    results = [b.const(np.zeros(v.shape), v.dtype) if not v.size else -1 for v in types]
    if kept:
        numbers = b.loop([g.outer for g in given], [types[i] for i in kept], source, loop._asdict())
        for i, n in zip(kept, numbers, strict=True):
            results[i] = _reverse(b, n, source) if p["reverse"] and i >= n_carried else n
    return results


def _loop_inputs(
    b: Builder, body: Builder, p: Any, inputs: tuple[int, ...], source: str
) -> tuple[list[LoopInput], list[int]]:
    """Return a loop's inputs, and the numbers that its body's jaxpr is called with."""
    given, arguments = [], []
    for i, outer in enumerate(inputs):
        value = b.values[outer]
        part = "captured" if i < p["num_consts"] else "carried"
        if i >= p["num_consts"] + p["num_carry"]:
            part, value = "walked", value._replace(shape=value.shape[1:])
            outer = _reverse(b, outer, source) if p["reverse"] else outer
        if part == "captured" and outer in b.known:
            arguments.append(body.const(b.known[outer], value.dtype, b.weights.get(outer, "")))
        elif not value.size:
            arguments.append(body.const(np.zeros(value.shape), value.dtype))
        else:
            arguments.append(body.new(*value))
            given.append(LoopInput(part, outer, Port(f"{part}_{i}", arguments[-1])))
    return given, arguments


def _reverse(b: Builder, number: int, source: str) -> int:
    value = b.values[number]
    return b.take([number], np.arange(value.size).reshape(value.shape)[::-1], source)
