"""The text of matrix products, factors, solutions and running sums."""

from __future__ import annotations

from kalmanrnn.export.c99_index import index_text
from kalmanrnn.export.c99_names import WITH, Names, heads, indented, nested
from kalmanrnn.export.c99_stmt import Call, Operand, Product

BLOCKED = 4


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
