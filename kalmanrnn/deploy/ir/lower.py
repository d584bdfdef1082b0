"""Lower jax's primitives to the list of typed operations, one rule for each.

A rule is (builder, call) -> numbers of the outputs; `tracing` walks the equations and calls them.
"""

from __future__ import annotations

from math import log as ln

import numpy as np

from kalmanrnn.deploy.ir import indexing, lower_arrays
from kalmanrnn.deploy.ir.builder import Builder
from kalmanrnn.deploy.ir.call import Call, Rule, Unsupported, as_type, elementwise, scalar

DIRECT = {
    **{name: name for name in ("neg", "abs", "sign", "floor", "ceil", "sqrt", "rsqrt", "exp")},
    **{name: name for name in ("log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos")},
    **{name: name for name in ("atan", "tanh", "logistic", "is_finite", "add", "sub", "mul")},
    **{name: name for name in ("div", "max", "min", "pow", "atan2", "rem")},
    **{name: name for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "add_any": "add",
}
LOGIC = {"and": "and", "or": "or", "not": "not", "xor": "ne"}
# Beyond that many positions, selecting among all of them is expensive.
MAX_POSITIONS = 64
IDENTITY = {
    *("copy", "copy_p", "stop_gradient", "optimization_barrier", "device_put", "pvary"),
    *("sharding_constraint", "debug_callback", "debug_print"),
}


def direct(b: Builder, call: Call) -> list[int]:
    """Lower a primitive with an operation of the same meaning."""
    inputs = call.inputs
    if call.name == "pow":
        inputs = [as_type(b, i, call.outputs[0].dtype, call.source) for i in inputs]
    return [elementwise(b, call, DIRECT[call.name], *inputs)]


def logic(b: Builder, call: Call) -> list[int]:
    """Lower and, or, not, xor of bools."""
    if b.values[call.inputs[0]].dtype != "bool":
        raise Unsupported("it works on the bits of integers")
    return [elementwise(b, call, LOGIC[call.name], *call.inputs)]


def integer_pow(b: Builder, call: Call) -> list[int]:
    """Multiply by repeated squaring."""
    n, base = call.params["y"], call.inputs[0]
    one, result = scalar(b, call, 1), None
    power = abs(n)
    while power:
        if power & 1:
            result = base if result is None else elementwise(b, call, "mul", result, base)
        power >>= 1
        if power:
            base = elementwise(b, call, "mul", base, base)
    if result is None:
        return [b.take([one], np.zeros(call.outputs[0].shape, np.int32), call.source)]
    return [elementwise(b, call, "div", one, result) if n < 0 else result]


def clamp(b: Builder, call: Call) -> list[int]:
    """Bound between two values: (least, x, most)."""
    least, x, most = call.inputs
    return [elementwise(b, call, "min", elementwise(b, call, "max", x, least), most)]


def select(b: Builder, call: Call) -> list[int]:
    """Select between cases, by a bool or by their number."""
    which, *cases = call.inputs
    found = cases[0]
    for i, case in enumerate(cases[1:], 1):
        pred = which
        if b.values[which].dtype != "bool":
            shape = b.values[which].shape
            pred = b.op("eq", [which, b.const(i, "i32")], shape, "bool", call.source)
        found = elementwise(b, call, "select", pred, found, case)
    return [found]


def rounding(b: Builder, call: Call) -> list[int]:
    """Round to the nearest even number, or away from zero at a half."""
    x = call.inputs[0]
    if int(call.params["rounding_method"]) == 1:
        return [elementwise(b, call, "round", x)]
    up = elementwise(b, call, "add", elementwise(b, call, "abs", x), scalar(b, call, 0.5))
    return [
        elementwise(
            b, call, "mul", elementwise(b, call, "sign", x), elementwise(b, call, "floor", up)
        )
    ]


def expand(b: Builder, call: Call) -> list[int]:
    """Expand functions that back ends lack into ones they have."""

    def f(kind, *inputs):
        return elementwise(b, call, kind, *inputs)

    x, one, half = call.inputs[0], scalar(b, call, 1), scalar(b, call, 0.5)
    size = f("abs", x)
    if call.name == "exp2":
        return [f("exp", f("mul", x, scalar(b, call, ln(2))))]
    if call.name == "square":
        return [f("mul", x, x)]
    if call.name == "cbrt":
        return [f("mul", f("sign", x), f("pow", size, scalar(b, call, 1 / 3)))]
    if call.name == "sinh":
        e = f("expm1", size)
        value = f("mul", half, f("add", e, f("div", e, f("add", e, one))))
        return [f("mul", f("sign", x), value)]
    if call.name == "cosh":
        e = f("exp", size)
        return [f("mul", half, f("add", e, f("div", one, e)))]
    if call.name == "asinh":
        square = f("mul", x, x)
        root = f("add", one, f("sqrt", f("add", square, one)))
        return [f("mul", f("sign", x), f("log1p", f("add", size, f("div", square, root))))]
    if call.name == "acosh":
        root = f("sqrt", f("mul", f("add", x, one), f("sub", x, one)))
        return [f("log", f("add", x, root))]
    assert call.name == "atanh"
    return [f("mul", half, f("sub", f("log1p", x), f("log1p", f("neg", x))))]


def reduce_precision(b: Builder, call: Call) -> list[int]:
    """Lower a rounding to float32, which changes nothing."""
    if (call.params["exponent_bits"], call.params["mantissa_bits"]) != (8, 23):
        raise Unsupported("it rounds to another precision than float32")
    return list(call.inputs)


def _num_positions(b: Builder, call: Call) -> int:
    """Count the positions that a window may have."""
    shape, sizes = b.values[call.inputs[0]].shape, call.params["slice_sizes"]
    free = [i not in b.known for i in call.inputs[1:]]
    return int(np.prod([n - w + 1 for n, w, f in zip(shape, sizes, free, strict=True) if f]))


def static_indexing(b: Builder, call: Call) -> list[int]:
    """Lower gathers, scatters and windows whose positions are known."""
    where = {"gather": 1, "dynamic_slice": 1, "dynamic_update_slice": 2}.get(call.name, 1)
    last = where + 1 if call.name == "gather" or "scatter" in call.name else None
    unknown = [i for i in call.inputs[where:last] if i not in b.known]
    if unknown and not (call.name == "dynamic_slice" and _num_positions(b, call) <= MAX_POSITIONS):
        raise Unsupported("its index depends on the state or on measurements")
    if call.name == "gather":
        return [indexing.gather(b, call.params, call.inputs, call.source)]
    if call.name == "dynamic_slice":
        return [indexing.dynamic_slice(b, call.params, call.inputs, call.source)]
    if call.name == "dynamic_update_slice":
        return [indexing.dynamic_update_slice(b, call.inputs, call.source)]
    how = call.name.removeprefix("scatter").lstrip("-_")
    return [indexing.scatter(b, how, call.params, call.inputs, call.source)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(DIRECT, direct),
    **dict.fromkeys(LOGIC, logic),
    **dict.fromkeys(IDENTITY, lambda b, call: list(call.inputs)),
    **dict.fromkeys(("exp2", "square", "cbrt", "sinh", "cosh", "asinh", "acosh", "atanh"), expand),
    **dict.fromkeys(
        [f"reduce_{how}" for how in ("sum", "max", "min", "and", "or", "prod")], lower_arrays.reduce
    ),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin"), lower_arrays.cumulate),
    **dict.fromkeys(("argmax", "argmin"), lower_arrays.argminmax),
    **dict.fromkeys(
        ("gather", "dynamic_slice", "dynamic_update_slice", "scatter"), static_indexing
    ),
    **dict.fromkeys(("scatter-add", "scatter_add", "scatter-sub", "scatter_sub"), static_indexing),
    **dict.fromkeys(("scatter_mul", "scatter-mul", "scatter_max", "scatter-max"), static_indexing),
    **dict.fromkeys(("scatter_min", "scatter-min"), static_indexing),
    **dict.fromkeys(
        (*indexing.SINGLE_INPUT, *indexing.MULTI_INPUT),
        lambda b, call: [indexing.reindex(b, call.name, call.params, call.inputs, call.source)],
    ),
    "split": lambda b, call: indexing.split(b, call.params, call.inputs, call.source),
    "pad": lambda b, call: [indexing.pad(b, call.params, call.inputs, call.source)],
    "convert_element_type": lambda b, call: [elementwise(b, call, "convert", *call.inputs)],
    "integer_pow": integer_pow,
    "clamp": clamp,
    "select_n": select,
    "round": rounding,
    "dot_general": lower_arrays.dot,
    "cholesky": lower_arrays.cholesky,
    "triangular_solve": lower_arrays.solve_triangular,
    "iota": lower_arrays.iota,
    "reduce_precision": reduce_precision,
}
