"""Matrix products as C: loops that a compiler vectorises, or that suit a small core.

On wide processors the inner loop runs over outputs, contiguous and long. A Cortex-M has no
vectors but many registers: a tile of outputs stays in them while the loop runs over inputs, and
bytes are multiplied in fixed point.
"""

from __future__ import annotations

from collections.abc import Callable

from kalmanrnn.deploy.c.index import index_text
from kalmanrnn.deploy.c.names import Names, indented, loop_heads, nested
from kalmanrnn.deploy.c.statements import Operand, Product
from kalmanrnn.deploy.options import CORTEX_M

BLOCK = 4
# Outputs that a Cortex-M4 keeps in registers: floats, and sums of 64 bits.
TILE, TILE_BYTES = 16, 4
# Below so many outputs a tile gains nothing.
MIN_OUTPUTS = 8
SUM_BITS = 30 + 7
Element = Callable[[str, str], str]


def render_product(names: Names, product: Product) -> list[str]:
    """Return a product as C: sums of rows times numbers."""
    batch, m, k, n = product.dims
    out = names.of(product.target)
    loops = [h for h, size in zip(loop_heads((batch, m)), (batch, m), strict=True) if size > 1]
    row = index_text(0, (m * n if batch > 1 else 0, n if m > 1 else 0), "ij")
    body = [f"float *restrict y = {out} + {row};" if row != "0" else f"float *restrict y = {out};"]

    def left(k_at: str) -> str:
        return _element(names, product.left, ("i", "j", k_at), batch, m)

    def right(k_at: str, l_at: str) -> str:
        text = _element(names, product.right, ("i", k_at, l_at), batch, 0)
        return f"(float){text}" if product.scale is not None else text

    small = names.target == CORTEX_M and n >= MIN_OUTPUTS
    if small and product.scale is not None:
        body += _fixed_point(names, product)
    elif small:
        body += _tiles(k, n, TILE, left, right)
    else:
        body += _rows(k, n, left, right)
        if product.scale is not None:
            scale = names.at(product.scale.place, "l")
            body += [f"for (int l = 0; l < {n}; ++l)", f"    y[l] *= {scale};"]
    return nested(loops, body) if loops else ["{", *indented(body), "}"]


def _rows(k: int, n: int, left: Callable[[str], str], right: Element) -> list[str]:
    """Add `BLOCKED` rows at a time to all outputs."""

    def add_rows(start: int, count: int, step: int) -> list[str]:
        at = [f"k + {p}" if p else "k" for p in range(step)]
        if count == step:
            at = [str(start + p) for p in range(step)]
        body = [f"const float f{p} = {left(at[p])};" for p in range(step)]
        total = " + ".join(f"f{p} * {right(at[p], 'l')}" for p in range(step))
        body += [f"for (int l = 0; l < {n}; ++l)", f"    y[l] += {total};"]
        if count == step:
            return ["{", *indented(body), "}"]
        return nested([f"for (int k = {start}; k < {start + count}; k += {step})"], body)

    whole = k - k % BLOCK
    lines = [f"for (int l = 0; l < {n}; ++l)", "    y[l] = 0.0f;"]
    if whole:
        lines += add_rows(0, whole, BLOCK)
    if k > whole:
        lines += add_rows(whole, k - whole, k - whole)
    return lines


def _tiles(k: int, n: int, tile: int, left: Callable[[str], str], right: Element) -> list[str]:
    """Keep `tile` outputs in registers while the loop runs over inputs."""

    def one(first: str, width: int) -> list[str]:
        at = [_plus(first, p) for p in range(width)]
        adds = [f"sum{p} += f * {right('k', at[p])};" for p in range(width)]
        lines = [f"float sum{p} = 0.0f;" for p in range(width)]
        inner = [f"const float f = {left('k')};", *adds]
        lines += nested([f"for (int k = 0; k < {k}; ++k)"], inner)
        return lines + [f"y[{at[p]}] = sum{p};" for p in range(width)]

    return _tiled(n, tile, one)


def fixed_point_bytes(names: Names, product: Product) -> int:
    """Return the bytes of stack that a product needs for its inputs in fixed point."""
    small = names.target == CORTEX_M and product.dims[3] >= MIN_OUTPUTS
    return 4 * product.dims[2] if small and product.scale is not None else 0


def _fixed_point(names: Names, product: Product) -> list[str]:
    """Multiply bytes with inputs in fixed point: sums of 64 bits are exact."""
    _, _, k, n = product.dims
    # A sum of k terms of SUM_BITS bits and a sign, brought to 31 bits.
    spare = 1 << max(SUM_BITS + (k - 1).bit_length() - 31, 0)
    table = names.of(product.right.leaf.place)
    assert product.scale is not None
    scale = names.of(product.scale.place)
    x = f"{names.pointer(product.left.leaf)}, {product.left.strides[2]}"
    lines = [f"int32_t q[{k}];", f"const float unit = {spare}.0f * to_fixed({x}, q, {k});"]

    def one(first: str, width: int) -> list[str]:
        at = [_plus(first, p) for p in range(width)]
        adds = [f"sum{p} += f * {table}[{n} * k + {at[p]}];" for p in range(width)]
        lines = [f"int64_t sum{p} = 0;" for p in range(width)]
        lines += nested([f"for (int k = 0; k < {k}; ++k)"], ["const int64_t f = q[k];", *adds])
        return lines + [
            f"y[{at[p]}] = unit * {scale}[{at[p]}] * (float)(int32_t)(sum{p} / {spare});"
            for p in range(width)
        ]

    return lines + _tiled(n, TILE_BYTES, one)


def _tiled(n: int, tile: int, one: Callable[[str, int], list[str]]) -> list[str]:
    """Loop over outputs in tiles, then over the remainder."""
    whole = n - n % tile
    lines = nested([f"for (int l = 0; l < {whole}; l += {tile})"], one("l", tile)) if whole else []
    return lines + (["{", *indented(one(str(whole), n - whole)), "}"] if n > whole else [])


def _plus(first: str, more: int) -> str:
    if first.isdigit():
        return str(int(first) + more)
    return f"{first} + {more}" if more else first


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
