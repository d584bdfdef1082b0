"""Sequences to look at: inputs and targets of one shape, checked at the door."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError

# Sequences and steps that are looked at: more would change no finding, only the time.
MOST_SEQUENCES, MOST_STEPS = 512, 512
# With fewer sequences than these, long ones are cut into pieces for statistics.
FEW_SEQUENCES = 8


class Series(NamedTuple):
    """Sequences of inputs with what should come out of a network.

    inputs: `[N, T, F]`. targets: `[N, T, D]`, or `[N, 1, D]` where a sequence has one target,
    which belongs to its last step (`per_step` False). float64.
    """

    inputs: np.ndarray
    targets: np.ndarray
    per_step: bool


def series_of(inputs: Any, targets: Any, *, name: str = "") -> Series:
    """Make a series of two arrays; UserError where ranks or lengths do not fit.

    A target whose second axis is the inputs' third is let through: the axes check tells of it.
    """
    x, y = numbers(inputs, f"{name}inputs"), numbers(targets, f"{name}targets")
    if x.ndim != 3:
        cure = f"{name}inputs[:, :, None] for one feature" if x.ndim == 2 else "give [N, T, F]"
        raise wrong(f"{name}inputs have {x.ndim} axes: {x.shape}", "[N, T, F]", cure)
    if y.ndim not in (2, 3):
        cure = f"{name}targets[:, None] for one number per sequence"
        raise wrong(f"{name}targets have {y.ndim} axes: {y.shape}", "[N, T, D] or [N, D]", cure)
    if not x.size or not y.size:
        raise wrong(f"{name}inputs {x.shape} and targets {y.shape}: nothing in them", "numbers")
    if len(x) != len(y):
        raise wrong(
            f"{len(x)} sequences of {name}inputs but {len(y)} of {name}targets",
            "one target for each sequence, N first in both",
            f"compare inputs {x.shape} with targets {y.shape}",
        )
    if y.ndim == 3 and y.shape[1] not in x.shape[1:]:
        raise wrong(
            f"{x.shape[1]} steps of {name}inputs but {y.shape[1]} of {name}targets",
            "a target at each step [N, T, D], or one per sequence [N, D]",
            "targets[:, -1] for one per sequence",
        )
    return Series(x, y if y.ndim == 3 else y[:, None], y.ndim == 3)


def alike(train: Series, held: Series) -> None:
    """Refuse held-out sequences of other columns than the training ones': UserError."""
    shapes = [(s.inputs.shape[2], s.targets.shape[2], s.per_step) for s in (train, held)]
    if shapes[0] == shapes[1]:
        return
    raise wrong(
        f"held_inputs {held.inputs.shape} and held_targets {held.targets.shape} do not go with "
        f"inputs {train.inputs.shape} and targets {train.targets.shape}",
        "both need the same columns, and targets of the same kind",
        "cut held-out sequences from the same arrays: x[:-20], x[-20:]",
    )


def numbers(a: Any, name: str) -> np.ndarray:
    """Take anything like an array to float64; UserError where it is no array of numbers."""
    try:
        array = np.asarray(a)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"its type is {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as problem:
        raise wrong(f"{name} hold no numbers", str(problem).splitlines()[0]) from None


def wrong(what: str, why: str, cure: str = "give inputs [N, T, F] and targets") -> UserError:
    """Say in three lines what is wrong with arrays."""
    return UserError(what, why=f"doctor looks at {why}" if "[" in why else why, cure=cure)


def finite(series: Series) -> Series:
    """Keep the sequences without NaN or infinity."""
    good = np.isfinite(series.inputs).all(axis=(1, 2)) & np.isfinite(series.targets).all((1, 2))
    return series._replace(inputs=series.inputs[good], targets=series.targets[good])


def neighbours(series: Series) -> Series:
    """Keep a bounded number of neighbouring sequences, whole."""
    kept = slice(MOST_SEQUENCES)
    return series._replace(inputs=series.inputs[kept], targets=series.targets[kept])


def bounded(series: Series) -> Series:
    """Keep a bounded number of neighbouring sequences, and of last steps in each."""
    x, y, _ = few = neighbours(series)
    return few._replace(inputs=x[:, -MOST_STEPS:], targets=y[:, -MOST_STEPS:])


def openings(series: Series) -> Series:
    """Keep a bounded number of sequences, and of first steps in each, labelled at every step."""
    x, y, _ = few = neighbours(series)
    return few._replace(inputs=x[:, :MOST_STEPS], targets=y[:, :MOST_STEPS])


def pieces(series: Series) -> Series:
    """Cut few long sequences into many, so that some can be held out."""
    n, steps, _ = series.inputs.shape
    if n >= FEW_SEQUENCES or not series.per_step:
        return series
    count = min(16, steps // 32)
    if count < 2:
        return series
    length = steps // count

    def cut(a: np.ndarray) -> np.ndarray:
        return a[:, : count * length].reshape(n * count, length, a.shape[-1])

    return series._replace(inputs=cut(series.inputs), targets=cut(series.targets))


def standard(a: np.ndarray) -> np.ndarray:
    """Bring columns to mean 0 and spread 1; constant ones to 0."""
    mean, std = a.mean(axis=(0, 1)), a.std(axis=(0, 1))
    return (a - mean) / np.where(std > 1e-12 * np.maximum(np.abs(mean), 1e-30), std, 1.0)
