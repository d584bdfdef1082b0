"""Trace a pure function of arrays into a program by lowering jax's equations.

Nested calls are inlined, scans become loops, conditionals on known values are decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.ir import control
from kalmanrnn.deploy.ir.builder import Builder
from kalmanrnn.deploy.ir.call import Call, Unsupported, dtype_of
from kalmanrnn.deploy.ir.lower import RULES
from kalmanrnn.deploy.ir.program import Port, Program, Value

# Parameters of a call that hold its jaxpr.
JAXPR_PARAMS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
CALL_PRIMITIVES = {
    *("pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"),
    *("custom_vjp_call_jaxpr", "remat", "remat2", "checkpoint", "custom_lin"),
}
WORKAROUNDS = {
    "lu": "use jax.scipy.linalg.cho_solve if the matrix is positive definite, or expand it",
    "while": "use a fixed number of iterations: jax.lax.fori_loop(0, n, ...) with a constant n",
    **dict.fromkeys(
        ("gather", "dynamic_slice", "dynamic_update_slice", "scatter", "scatter-add"),
        "select among the possible elements with jnp.where",
    ),
    "sort": "compare with jnp.where, jnp.minimum and jnp.maximum",
}


def trace(
    function: Callable[..., Any],
    name: str,
    examples: Mapping[str, Any],
    outputs: Sequence[str],
    *,
    weights: Mapping[str, Any] | None = None,
    counted: str = "",
    fold: bool = True,
) -> Program:
    """Return the program of a pure function, in float32.

    examples: arrays or ShapeDtypeStructs by name, in the order of the function's arguments;
    empty ones become no inputs. outputs: names of what it returns, flattened.
    weights: named arrays; the function then takes a dict of them first, and the program keeps
    them as named constants. counted: the input whose scan is a counted loop. fold: False keeps
    every operation as traced. UserError for what cannot be lowered.
    """
    try:
        return _trace(function, name, examples, outputs, weights or {}, counted, fold)
    except Unsupported as problem:
        raise UserError(
            f"the {name} cannot be exported", why=str(problem), cure="use float32 there"
        ) from None


def _trace(function, name, examples, outputs, weights, counted, fold) -> Program:
    with jax.enable_x64(False):
        given = [_shape_struct(a) for a in examples.values()]
        weights = {key: np.asarray(value, np.float32) for key, value in weights.items()}
        before = [weights] if weights else []
        traced: Any = jax.make_jaxpr(function)(*before, *given)
        b = Builder(fold=fold)
        # jax flattens a dict by sorted keys.
        arguments = [b.const(weights[key], "f32", key) for key in sorted(weights)]
        ports = []
        for key, value in zip(examples, given, strict=True):
            dtype = dtype_of(value)
            if 0 in value.shape:
                arguments.append(b.const(np.zeros(value.shape), dtype))
                continue
            ports.append(Port(key, b.new(value.shape, dtype)))
            arguments.append(ports[-1].value)
        walked = {port.value for port in ports if port.name == counted}
        found = lower_jaxpr(b, traced, arguments, walked)
    named = [Port(n, v) for n, v in zip(outputs, found, strict=True) if b.values[v].size]
    return b.finish(name, ports, named)


def lower_jaxpr(
    b: Builder, closed: Any, arguments: Sequence[int], counted: set[int], caller: str = ""
) -> list[int]:
    """Lower the equations of a jaxpr; return its outputs' numbers.

    caller: where the jaxpr is called from, for equations without a source line.
    """
    jaxpr = closed.jaxpr if isinstance(closed, ClosedJaxpr) else closed
    env: dict[Any, int] = {}
    for var, array in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True):
        env[var] = b.const(np.asarray(array), dtype_of(var.aval))
    env |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(atom) -> int:
        if isinstance(atom, Literal):
            return b.const(np.asarray(atom.val), dtype_of(atom.aval))
        return env[atom]

    for eqn in jaxpr.eqns:
        inputs = tuple(read(atom) for atom in eqn.invars)
        for var, number in zip(
            eqn.outvars, lower_equation(b, eqn, inputs, counted, caller), strict=True
        ):
            env[var] = number
    return [read(atom) for atom in jaxpr.outvars]


def lower_equation(
    b: Builder, eqn: Any, inputs: tuple[int, ...], counted: set[int], caller: str
) -> Sequence[int]:
    """Lower one equation; return its outputs' numbers."""
    name = eqn.primitive.name
    source = source_line(eqn) or caller
    if name in CALL_PRIMITIVES:
        inner = next(eqn.params[key] for key in JAXPR_PARAMS if key in eqn.params)
        return lower_jaxpr(b, inner, inputs, counted, source)
    try:
        if name == "scan":
            return control.scan(b, lower_jaxpr, eqn, inputs, counted, source)
        if name == "cond":
            return control.cond(b, lower_jaxpr, eqn, inputs, counted, source)
        if name not in RULES:
            raise Unsupported("exports have no operation for it")
        outputs = tuple(Value(var.aval.shape, dtype_of(var.aval)) for var in eqn.outvars)
        found = RULES[name](b, Call(name, eqn.params, inputs, outputs, source))
    except Unsupported as problem:
        raise UserError(
            f"{name} cannot be exported",
            why=f"{problem}; it comes from {source or 'an unknown line'}",
            cure=WORKAROUNDS.get(name, "write this line with other jax.numpy functions"),
        ) from None
    for number, value in zip(found, outputs, strict=False):
        assert b.values[number] == value, (name, b.values[number], value)
    return found[: len(eqn.outvars)]


def _shape_struct(example: Any) -> jax.ShapeDtypeStruct:
    dtype = example.dtype if hasattr(example, "dtype") else np.asarray(example).dtype
    return jax.ShapeDtypeStruct(np.shape(example), jax.dtypes.canonicalize_dtype(dtype))


def source_line(eqn: Any) -> str:
    """Return the line that an equation came from: a user's if there is one, else ours."""
    traceback = eqn.source_info.traceback
    ours = ""
    for frame in () if traceback is None else traceback.frames:
        path = Path(frame.file_name)
        line = f"{path.name}:{frame.line_num} ({frame.function_name.rpartition('.')[2]})"
        if path.is_relative_to(PACKAGE / "deploy"):
            break
        if path.is_relative_to(PACKAGE) and not path.is_relative_to(PACKAGE / "sims"):
            ours = ours or line
        elif path.is_relative_to(PACKAGE) or not any(part in LIBRARIES for part in path.parts):
            return line
    return ours


PACKAGE = Path(__file__).resolve().parents[2]
LIBRARIES = {"jax", "jaxlib", "flax", "site-packages", "dist-packages"}
