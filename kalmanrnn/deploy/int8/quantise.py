"""A network's weights in eight bits: whole numbers from -127 to 127, one scale per output unit.

Only matrices become int8; biases and the normaliser are few and stay float32. What is exported
is the network of the rounded weights: every form holds these, the C as bytes and scales.

Each input's weights are rounded in turn, and those of the inputs after it make up for the error
as far as the inputs go together (GPTQ: Frantar et al. 2023, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.deploy.machine.machine import Machine, weight_name

LEVELS = 127
# The C counts a matrix's bytes in an int, and robots' compilers have none wider than 32 bits.
MAX_SIZE = 2**31 - 1
MIN_WEIGHT = 1e-30
DAMPING = 0.01

Scales = dict[str, np.ndarray]


def quantise_weights(params: Any, moments: Mapping[str, np.ndarray]) -> tuple[Any, Scales]:
    """Return parameters with int8 matrices, as float32 again; and their scales `[out]` by name.

    moments: `[in, in]` the mean of x x' over a matrix's inputs x, by name; without it a matrix
    is rounded number by number. UserError where a matrix is larger than the format allows, or
    is not finite.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path((params,))
    found, scales = [], {}
    for path, leaf in leaves:
        name, matrix = weight_name(path), np.asarray(leaf)
        if is_matrix(name, matrix):
            check_matrix(name, matrix)
            scales[name] = column_scales(matrix)
            whole = quantise_matrix(matrix, scales[name], moments.get(name))
            leaf = jax.numpy.asarray(whole * scales[name])
        found.append(leaf)
    return jax.tree_util.tree_unflatten(tree, found)[0], scales


def is_matrix(name: str, weight: np.ndarray) -> bool:
    """Whether a weight is one of those that become int8."""
    return weight.ndim == 2 and name.endswith("kernel")


def column_scales(matrix: np.ndarray) -> np.ndarray:
    """Return what one step of eight bits is for each output unit `[out]`."""
    largest = np.abs(matrix).max(axis=0, initial=0.0)
    # A unit without weights keeps a scale to divide by.
    return np.where(largest > MIN_WEIGHT, largest, 1.0).astype(np.float32) / np.float32(LEVELS)


def quantise_matrix(
    matrix: np.ndarray, scale: np.ndarray, moments: np.ndarray | None = None
) -> np.ndarray:
    """Return a matrix's whole numbers `[in, out]`, as float32."""
    left = np.asarray(matrix, float) / scale
    whole = np.zeros_like(left)
    onto = _inverse_factor(moments) if moments is not None else np.eye(len(left))
    for k in range(len(left)):
        whole[k] = np.clip(np.rint(left[k]), -LEVELS, LEVELS)
        left[k + 1 :] -= np.outer(onto[k, k + 1 :], (left[k] - whole[k]) / onto[k, k])
    return whole.astype(np.float32)


def _inverse_factor(moments: np.ndarray) -> np.ndarray:
    """Return the upper factor of the inverse of an input's moments, a little damped."""
    damped = moments + max(DAMPING * np.trace(moments) / len(moments), MIN_WEIGHT) * np.eye(
        len(moments)
    )
    return np.linalg.cholesky(np.linalg.inv(damped)).T


def check_matrix(name: str, matrix: np.ndarray) -> None:
    """Refuse a matrix that the format cannot count, or that has no largest number."""
    if not np.isfinite(matrix).all():
        raise UserError(
            f"{name} is not finite",
            why="int8 weights are shares of the largest of their output unit",
            cure="train again; the run's report says where it diverged",
        )
    if matrix.size > MAX_SIZE:
        raise UserError(
            f"{name} is too large for int8 weights",
            why=f"it has {matrix.size:,} numbers, and the format counts {MAX_SIZE:,} in a matrix",
            cure="--weights float32, or train with a smaller --hidden",
        )


def with_scales(machine: Machine, scales: Scales) -> Machine:
    """Let a machine know that its weights are int8, and their scales; as plain data."""
    plain = {name: [float(s) for s in each] for name, each in scales.items()}
    weights = machine.spec["weights"] | {"int8": plain}
    return machine._replace(spec=machine.spec | {"weights": weights})


def scales_of(machine: Machine) -> Scales:
    """Return what `with_scales` told a machine; nothing for float32 weights."""
    told = machine.spec["weights"].get("int8", {})
    return {name: np.asarray(each, np.float32) for name, each in told.items()}


def check_options(weights: str, kind: str, limit: float) -> None:
    """Refuse int8 for a filter, and a limit that nothing can keep."""
    if weights == "int8" and kind != "student":
        raise UserError(
            f"--weights int8 does not go with --estimator {kind}",
            why="a filter has no weights",
            cure="leave --weights out",
            code=USAGE,
        )
    if not limit > 0:
        raise UserError(
            f"--int8-limit must be positive, got {limit:g}",
            why="it is the ratio of two errors, 1 where rounding costs nothing",
            cure="--int8-limit 1.02",
            code=USAGE,
        )
