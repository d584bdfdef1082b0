"""Static index arrays as nested loops: base + sum of stride x loop variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LETTERS = "ijkl"


class Nest(NamedTuple):
    """Loops, outermost first, and how each index array walks through them.

    dims: lengths; their product is the arrays' length.
    bases: `[arrays]` first index. strides: `[arrays][dims]`.
    """

    dims: tuple[int, ...]
    bases: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]


def find_nest(arrays: Sequence[np.ndarray]) -> Nest | None:
    """Return the loops that index arrays of one length share; None if there are none."""
    rest = np.stack([np.asarray(a, np.int64).ravel() for a in arrays], axis=1)
    bases = tuple(int(b) for b in rest[0])
    dims: list[int] = []
    strides: list[tuple[int, ...]] = []
    while len(rest) > 1:
        length = _inner(rest)
        if length == 1 or len(dims) == len(LETTERS):
            return None
        dims.insert(0, length)
        strides.insert(0, tuple(int(s) for s in rest[1] - rest[0]))
        rest = rest[::length]
    by_array = tuple(zip(*strides, strict=True)) if dims else ((),) * len(bases)
    return Nest(tuple(dims), bases, by_array)


def _inner(rest: np.ndarray) -> int:
    """Return the longest loop that fits innermost, 1 for none."""
    n = len(rest)
    steps = np.diff(rest, axis=0)
    breaks = np.flatnonzero((steps != steps[0]).any(axis=1))
    longest = int(breaks[0]) + 1 if len(breaks) else n
    for length in range(longest, 1, -1):
        if n % length == 0:
            blocks = rest.reshape(n // length, length, -1)
            if (np.diff(blocks, axis=1) == steps[0]).all():
                return length
    return 1


def affine(index: np.ndarray, dims: tuple[int, ...]) -> tuple[int, tuple[int, ...]] | None:
    """Return base and strides of an index array over given dimensions; None if it is not affine."""
    index = np.asarray(index, np.int64).reshape(dims)
    base = int(index.flat[0])
    strides, expected = [], np.full(dims, base)
    for axis, n in enumerate(dims):
        first = [0] * len(dims)
        first[axis] = min(1, n - 1)
        stride = int(index[tuple(first)]) - base
        shape = [1] * len(dims)
        shape[axis] = n
        expected = expected + stride * np.arange(n).reshape(shape)
        strides.append(stride)
    return (base, tuple(strides)) if (expected == index).all() else None


def contiguous(index: np.ndarray) -> bool:
    """Whether an index array counts up by one."""
    return bool((np.diff(index) == 1).all())


def index_text(base: int, strides: Sequence[int], names: Sequence[str]) -> str:
    """Write an index in C."""
    terms = [
        name if stride == 1 else f"{stride} * {name}"
        for stride, name in zip(strides, names, strict=True)
        if stride
    ]
    if base or not terms:
        terms.insert(0, str(base))
    return " + ".join(terms).replace("+ -", "- ")
