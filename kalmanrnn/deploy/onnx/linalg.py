"""Cholesky factors and triangular solves in ONNX, which has neither: expanded by columns.

Each column is about ten vector operators over the whole batch; a 15 x 15 factor is 150 of them.
"""

from __future__ import annotations

from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.onnx.graph import Graph, integers, node, nodes, slice_axis

# A factor of this size is 1300 operators, half a millisecond of a laptop; a step has several.
MAX_SIZE = 128


def cholesky(graph: Graph, a: str, n: int, source: str) -> str:
    """Append the lower factor of `[b, n, n]`, zeros above; NaN where a pivot is not positive."""
    check_size("cholesky", n, source)
    # Rows of the transpose are columns of the lower half, which alone is read.
    rest = node(graph, "Transpose", a, perm=[0, 2, 1])
    columns = []
    for done in range(n):
        left = n - done
        row = slice_axis(graph, rest, 1, 0, 1)
        root = node(graph, "Sqrt", slice_axis(graph, row, 2, 0, 1))
        column = node(graph, "Div", row, root)
        pads = integers(graph, 0, 0, done, 0, 0, 0)
        columns.append(node(graph, "Pad", column, pads) if done else column)
        if left > 1:
            below = slice_axis(graph, column, 2, 1, left)
            across = node(graph, "Transpose", below, perm=[0, 2, 1])
            rest = _trailing_block(graph, rest, left)
            rest = node(graph, "Sub", rest, node(graph, "Mul", across, below))
    upper = node(graph, "Concat", *columns, axis=1)
    return node(graph, "Transpose", upper, perm=[0, 2, 1])


def solve_triangular(
    graph: Graph,
    a: str,
    b: str,
    n: int,
    *,
    lower: bool,
    transpose: bool,
    unit: bool,
    source: str,
) -> str:
    """Append x `[b, n, m]` with a x = b, or a' x = b."""
    check_size("solve_triangular", n, source)
    if transpose:
        a = node(graph, "Transpose", a, perm=[0, 2, 1])
    if lower == transpose:
        # An upper half read backwards from its last row and column is a lower half.
        a, b = _reverse(graph, a, 1, 2), _reverse(graph, b, 1)
    rows = []
    for done in range(n):
        left = n - done
        top = slice_axis(graph, b, 1, 0, 1)
        if not unit:
            pivot = slice_axis(graph, slice_axis(graph, a, 1, 0, 1), 2, 0, 1)
            top = node(graph, "Div", top, pivot)
        rows.append(top)
        if left > 1:
            column = slice_axis(graph, slice_axis(graph, a, 2, 0, 1), 1, 1, left)
            below = slice_axis(graph, b, 1, 1, left)
            b = node(graph, "Sub", below, node(graph, "Mul", column, top))
            a = _trailing_block(graph, a, left)
    x = node(graph, "Concat", *rows, axis=1)
    return _reverse(graph, x, 1) if lower == transpose else x


def check_size(what: str, n: int, source: str) -> None:
    """Refuse a size that would make the model too large to load."""
    if n > MAX_SIZE:
        raise UserError(
            f"{what} is too large for ONNX",
            why=f"ONNX lacks it, and {n} x {n} ({source or 'the program'}) is above the limit of "
            f"{MAX_SIZE} for expanding it",
            cure="export --format c numpy, or export the student",
        )


def _trailing_block(graph: Graph, a: str, left: int) -> str:
    """Drop the first row and column of `[b, left, left]`."""
    start, stop, axes = integers(graph, 1, 1), integers(graph, left, left), integers(graph, 1, 2)
    return node(graph, "Slice", a, start, stop, axes)


def _reverse(graph: Graph, a: str, *axes: int) -> str:
    far = -(2**31)
    start, stop = integers(graph, *[-1] * len(axes)), integers(graph, *[far] * len(axes))
    steps = integers(graph, *[-1] * len(axes))
    return nodes(graph, "Slice", (a, start, stop, integers(graph, *axes), steps), 1)[0]
