"""Round weights to int8: integers from -127 to 127, with one scale per output unit.

Only matrices become int8; biases and the normaliser are small and stay float32. Every format
holds the rounded network; the C stores it as bytes and scales.

The weights of each input are rounded in turn, and those of the inputs after it compensate as far
as the inputs are correlated (GPTQ: Frantar et al. 2023, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from kalmanrnn.core.errors import UsageError, UserError
from kalmanrnn.deploy.machine.machine import Machine, weight_name

LEVELS = 127
# The C counts a matrix's bytes in an int of 32 bits.
MAX_SIZE = 2**31 - 1
MIN_WEIGHT = 1e-30
DAMPING = 0.01

Scales = dict[str, np.ndarray]


def quantise_weights(params: Any, moments: Mapping[str, np.ndarray]) -> tuple[Any, Scales]:
    """Return parameters with int8 matrices, as float32, and their scales `[out]` by name.

    moments: `[in, in]` the mean of x x' over a matrix's inputs x, by name; without it each
    number is rounded by itself. UserError where a matrix is too large or not finite.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path((params,))
    found, scales = [], {}
    for path, leaf in leaves:
        name, matrix = weight_name(path), np.asarray(leaf)
        if is_matrix(name, matrix):
            check_matrix(name, matrix)
            scales[name] = column_scales(matrix)
            rounded = quantise_matrix(matrix, scales[name], moments.get(name))
            leaf = jax.numpy.asarray(rounded * scales[name])
        found.append(leaf)
    return jax.tree_util.tree_unflatten(tree, found)[0], scales


def is_matrix(name: str, weight: np.ndarray) -> bool:
    """Whether a weight becomes int8."""
    return weight.ndim == 2 and name.endswith("kernel")


def column_scales(matrix: np.ndarray) -> np.ndarray:
    """Return the size of one int8 step for each output unit `[out]`."""
    largest = np.abs(matrix).max(axis=0, initial=0.0)
    # A unit whose weights are all zero gets a scale of one step in 127.
    return np.where(largest > MIN_WEIGHT, largest, 1.0).astype(np.float32) / np.float32(LEVELS)


def quantise_matrix(
    matrix: np.ndarray, scale: np.ndarray, moments: np.ndarray | None = None
) -> np.ndarray:
    """Return a matrix's integers `[in, out]`, as float32."""
    left = np.asarray(matrix, float) / scale
    rounded = np.zeros_like(left)
    onto = _inverse_factor(moments) if moments is not None else np.eye(len(left))
    for k in range(len(left)):
        rounded[k] = np.clip(np.rint(left[k]), -LEVELS, LEVELS)
        left[k + 1 :] -= np.outer(onto[k, k + 1 :], (left[k] - rounded[k]) / onto[k, k])
    return rounded.astype(np.float32)


def _inverse_factor(moments: np.ndarray) -> np.ndarray:
    """Return the upper Cholesky factor of the inverse of damped moments."""
    damped = moments + max(DAMPING * np.trace(moments) / len(moments), MIN_WEIGHT) * np.eye(
        len(moments)
    )
    return np.linalg.cholesky(np.linalg.inv(damped)).T


def check_matrix(name: str, matrix: np.ndarray) -> None:
    """Refuse a matrix that is too large or not finite."""
    if not np.isfinite(matrix).all():
        raise UserError(
            f"{name} is not finite",
            why="each int8 scale needs a finite largest weight",
            cure="train again; the run's report says where it diverged",
        )
    if matrix.size > MAX_SIZE:
        raise UserError(
            f"{name} is too large for int8 weights",
            why=f"it has {matrix.size:,} numbers; the limit is {MAX_SIZE:,}",
            cure="--weights float32, or train with a smaller --hidden",
        )


def with_scales(machine: Machine, scales: Scales) -> Machine:
    """Add the scales of int8 weights to a machine's spec, as plain data."""
    plain = {name: [float(s) for s in each] for name, each in scales.items()}
    weights = machine.spec["weights"] | {"int8": plain}
    return machine._replace(spec=machine.spec | {"weights": weights})


def scales_of(machine: Machine) -> Scales:
    """Return the scales of int8 weights in a machine's spec; empty for float32 weights."""
    plain = machine.spec["weights"].get("int8", {})
    return {name: np.asarray(each, np.float32) for name, each in plain.items()}


def check_weights(weights: str, kind: str, limit: float) -> None:
    """Refuse int8 weights of a filter, and a limit that is not positive."""
    if weights == "int8" and kind != "student":
        raise UsageError(
            f"--weights int8 does not go with --estimator {kind}",
            why="a filter has no weights",
            cure="leave --weights out",
        )
    if not limit > 0:
        raise UsageError(
            f"--int8-limit must be positive, got {limit:g}",
            why="it is the ratio of two errors, 1 where rounding costs nothing",
            cure="--int8-limit 1.02",
        )
