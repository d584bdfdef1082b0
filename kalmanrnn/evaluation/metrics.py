"""Errors by state group, ratios with intervals, and consistency.

Pure numpy on errors that are already tangent vectors `[B, E, D]`; imports no jax. An error is
NaN where the truth is unknown and is left out; an estimate that is not finite counts as an
infinite error and is never left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammaincinv

from kalmanrnn.core.random_streams import Stream, random_stream

if TYPE_CHECKING:
    from kalmanrnn.core.state_space import StateSpace

DIVERGED_FACTOR = 20.0
RESAMPLES = 2000
READ_ORDER = ("position", "position_2d", "velocity", "attitude", "heading")


class StateGroup(NamedTuple):
    """A part of the tangent space that is reported as one number.

    unit, factor: its unit, and that of one SI unit. columns: where in `[D]`. block: its state
    block.
    """

    name: str
    unit: str
    factor: float
    columns: slice
    block: str


class ErrorSummary(NamedTuple):
    """The distribution of an error's norm over drives and events, in the group's unit."""

    rmse: float
    median: float
    p95: float
    max: float


class Interval(NamedTuple):
    """A number and its 95 % interval; low and high are NaN if there is too little data."""

    value: float
    low: float
    high: float


def state_groups(space: StateSpace, *, horizontal: str = "") -> tuple[StateGroup, ...]:
    """Return one group per block, in reading order.

    horizontal: name of a vector block whose first two components become a group of their own,
    named with the suffix "_2d".
    """
    groups = [
        StateGroup(b.name, b.unit, b.factor, space.tangent_slice(b.name), b.name)
        for b in space.blocks
    ]
    if horizontal and space.block(horizontal).tangent_size > 2:
        whole = groups[[g.name for g in groups].index(horizontal)]
        plane = slice(whole.columns.start, whole.columns.start + 2)
        groups.append(whole._replace(name=horizontal + "_2d", columns=plane))
    rank = {name: i for i, name in enumerate(READ_ORDER)}
    return tuple(sorted(groups, key=lambda g: rank.get(g.name, len(rank))))


def error_norms(group: StateGroup, errors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return a group's error norm `[B, E]` in its unit.

    known: `[B, E, D]`, whether the truth is known. NaN where it is not, inf where the estimate
    is not finite.
    """
    part = errors[..., group.columns]
    size = np.sqrt(np.sum(np.where(np.isfinite(part), part, np.inf) ** 2, axis=-1)) * group.factor
    return np.where(known[..., group.columns].all(axis=-1), size, np.nan)


def mean_square(size: np.ndarray) -> np.ndarray:
    """Return the mean square over the last axis, NaN left out; NaN where nothing is left."""
    count = np.sum(~np.isnan(size), axis=-1)
    total = np.sum(np.where(np.isnan(size), 0.0, size) ** 2, axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def rmse(size: np.ndarray) -> float:
    """Return the root mean square over all drives and events, NaN left out."""
    return float(np.sqrt(mean_square(np.ravel(size))))


def summarise_errors(size: np.ndarray) -> ErrorSummary:
    """Summarise error norms of any shape."""
    flat = size[~np.isnan(size)]
    if not flat.size:
        return ErrorSummary(np.nan, np.nan, np.nan, np.nan)
    # No interpolation: between a finite and an infinite error it would give NaN.
    median, p95 = np.quantile(flat, [0.5, 0.95], method="inverted_cdf")
    return ErrorSummary(rmse(flat), float(median), float(p95), float(flat.max()))


def diverged(size: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """Return `[B]`, whether each drive diverged, from error norms `[B, E]` of one group.

    The one definition: a drive has diverged if an estimate is not finite, or if its last known
    error is more than 20 times the teacher's RMSE on its median drive. It applies to the
    scenario's origin block; in a scenario without one, to every block.
    """
    per_drive = np.sqrt(mean_square(teacher))
    finite = per_drive[np.isfinite(per_drive)]
    bound = DIVERGED_FACTOR * np.median(finite) if finite.size else np.inf
    return np.isinf(size).any(axis=-1) | (last_known(size) > bound)


def last_known(size: np.ndarray) -> np.ndarray:
    """Return the last entry of `[B, E]` that is not NaN; NaN if all are."""
    back = np.argmax(~np.isnan(size[:, ::-1]), axis=1)
    return size[np.arange(len(size)), size.shape[1] - 1 - back]


def rmse_ratio(numerator: np.ndarray, denominator: np.ndarray, *, seed: int) -> Interval:
    """Return RMSE(numerator) / RMSE(denominator) with a paired-bootstrap 95 % interval.

    numerator, denominator: mean squares `[B]` of the same drives. Drives are resampled with
    replacement, the same in both, so that what makes a drive hard for both cancels (Efron and
    Tibshirani 1993, chapter 13).
    """
    keep = ~(np.isnan(numerator) | np.isnan(denominator))
    numerator, denominator = numerator[keep], denominator[keep]
    if not numerator.size:
        return Interval(np.nan, np.nan, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(np.sqrt(numerator.mean() / denominator.mean()))
        if numerator.size < 2:
            return Interval(value, np.nan, np.nan)
        drawn = random_stream(seed, Stream.BOOTSTRAP).integers(
            numerator.size, size=(RESAMPLES, numerator.size)
        )
        values = np.sqrt(numerator[drawn].mean(axis=1) / denominator[drawn].mean(axis=1))
    low, high = np.quantile(values, [0.025, 0.975], method="inverted_cdf")
    return Interval(value, float(low), float(high))


def mahalanobis(errors: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Return e' P^-1 e of errors `[..., D]` with covariances `[..., D, D]`; NaN for invalid ones.

    This is the NEES of estimation errors and the NIS of innovations (Bar-Shalom 2001, section 5.4).
    """
    std = np.sqrt(np.maximum(np.diagonal(cov, axis1=-2, axis2=-1), 0.0))
    finite = np.isfinite(cov).all(axis=(-2, -1)) & np.isfinite(errors).all(axis=-1)
    good = np.asarray(finite & (std > 0).all(axis=-1))
    std = np.where(good[..., None], std, 1.0)
    eye = np.eye(cov.shape[-1])
    # Metres beside radians per second: solve the correlation matrix, slightly regularised.
    correlation = np.where(good[..., None, None], cov / (std[..., None] * std[..., None, :]), eye)
    scaled = np.where(good[..., None], errors / std, 0.0)
    solved = np.linalg.solve(correlation + 1e-12 * eye, scaled[..., None])[..., 0]
    return np.where(good, np.sum(scaled * solved, axis=-1), np.nan)


def chi_square_band(dims: int, samples: int) -> tuple[float, float]:
    """Return the 95 % band of the mean of e' P^-1 e per dimension over that many samples."""
    k = dims * samples
    low, high = (2 * gammaincinv(k / 2, p) / k for p in (0.025, 0.975))
    return float(low), float(high)
