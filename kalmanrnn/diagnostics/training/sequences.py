"""Sequences of inputs and targets, their shapes checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError

# Sequences and steps used at most: more would take longer and change no finding.
MAX_SEQUENCES, MAX_STEPS = 512, 512
# With fewer sequences than these, long ones are cut into pieces for statistics.
FEW_SEQUENCES = 8


class Sequences(NamedTuple):
    """Sequences of inputs and the outputs wanted of a network.

    inputs: `[N, T, F]`. targets: `[N, T, D]`, or `[N, 1, D]` where a sequence has one target,
    which belongs to its last step (`per_step` False). float64.
    """

    inputs: np.ndarray
    targets: np.ndarray
    per_step: bool


def make_sequences(inputs: Any, targets: Any, *, name: str = "") -> Sequences:
    """Check two arrays and make sequences of them; UserError where ranks or lengths do not fit.

    A target whose second axis is the inputs' third passes: the check of axes reports it.
    """
    x, y = as_numbers(inputs, f"{name}inputs"), as_numbers(targets, f"{name}targets")
    if x.ndim != 3:
        cure = f"{name}inputs[:, :, None] for one feature" if x.ndim == 2 else "give [N, T, F]"
        raise shape_error(f"{name}inputs have {x.ndim} axes: {x.shape}", "[N, T, F]", cure)
    if y.ndim not in (2, 3):
        cure = f"{name}targets[:, None] for one number per sequence"
        raise shape_error(
            f"{name}targets have {y.ndim} axes: {y.shape}", "[N, T, D] or [N, D]", cure
        )
    if not x.size or not y.size:
        raise shape_error(
            f"{name}inputs {x.shape} and targets {y.shape}: they are empty", "nothing to check"
        )
    if len(x) != len(y):
        raise shape_error(
            f"{len(x)} sequences of {name}inputs but {len(y)} of {name}targets",
            "one target for each sequence, N first in both",
            f"compare inputs {x.shape} with targets {y.shape}",
        )
    if y.ndim == 3 and y.shape[1] not in x.shape[1:]:
        raise shape_error(
            f"{x.shape[1]} steps of {name}inputs but {y.shape[1]} of {name}targets",
            "a target at each step [N, T, D], or one per sequence [N, D]",
            "targets[:, -1] for one per sequence",
        )
    return Sequences(x, y if y.ndim == 3 else y[:, None], y.ndim == 3)


def check_same_columns(train: Sequences, validation: Sequences) -> None:
    """Refuse validation sequences with other columns than the training ones: UserError."""
    shapes = [(s.inputs.shape[2], s.targets.shape[2], s.per_step) for s in (train, validation)]
    if shapes[0] == shapes[1]:
        return
    raise shape_error(
        f"validation_inputs {validation.inputs.shape} and validation_targets "
        f"{validation.targets.shape} do not match inputs {train.inputs.shape} and "
        f"targets {train.targets.shape}",
        "both need the same columns, and the same kind of targets",
        "cut validation sequences from the same arrays: x[:-20], x[-20:]",
    )


def as_numbers(a: Any, name: str) -> np.ndarray:
    """Convert anything like an array to float64; UserError where it does not hold numbers."""
    try:
        array = np.asarray(a)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"its type is {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as problem:
        raise shape_error(f"{name} are not numbers", str(problem).splitlines()[0]) from None


def shape_error(what: str, why: str, cure: str = "give inputs [N, T, F] and targets") -> UserError:
    """Return the error for arrays that do not fit."""
    return UserError(what, why=f"expected {why}" if "[" in why else why, cure=cure)


def drop_nonfinite(data: Sequences) -> Sequences:
    """Drop sequences with NaN or infinity."""
    good = np.isfinite(data.inputs).all(axis=(1, 2)) & np.isfinite(data.targets).all((1, 2))
    return data._replace(inputs=data.inputs[good], targets=data.targets[good])


def limit_sequences(data: Sequences) -> Sequences:
    """Keep the first sequences, whole: neighbours stay neighbours."""
    kept = slice(MAX_SEQUENCES)
    return data._replace(inputs=data.inputs[kept], targets=data.targets[kept])


def limit_last_steps(data: Sequences) -> Sequences:
    """Keep the first sequences, and the last steps of each."""
    x, y, _ = few = limit_sequences(data)
    return few._replace(inputs=x[:, -MAX_STEPS:], targets=y[:, -MAX_STEPS:])


def limit_first_steps(data: Sequences) -> Sequences:
    """Keep the first sequences, and the first steps of each; targets must be per step."""
    x, y, _ = few = limit_sequences(data)
    return few._replace(inputs=x[:, :MAX_STEPS], targets=y[:, :MAX_STEPS])


def split_long(data: Sequences) -> Sequences:
    """Cut few long sequences into many, so that some can be kept for validation."""
    n, steps, _ = data.inputs.shape
    if n >= FEW_SEQUENCES or not data.per_step:
        return data
    count = min(16, steps // 32)
    if count < 2:
        return data
    length = steps // count

    def cut(a: np.ndarray) -> np.ndarray:
        return a[:, : count * length].reshape(n * count, length, a.shape[-1])

    return data._replace(inputs=cut(data.inputs), targets=cut(data.targets))


def standardise(a: np.ndarray) -> np.ndarray:
    """Scale columns to mean 0 and standard deviation 1, constant ones to 0."""
    mean, std = a.mean(axis=(0, 1)), a.std(axis=(0, 1))
    return (a - mean) / np.where(std > 1e-12 * np.maximum(np.abs(mean), 1e-30), std, 1.0)
