"""Compare estimators on the same drives, with the truth and with the teacher."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.evaluation import metrics
from kalmanrnn.evaluation.estimates import Estimates
from kalmanrnn.evaluation.example_drives import ExampleDrive, first_vector, pick_examples
from kalmanrnn.evaluation.innovations import Innovations, collect_innovations
from kalmanrnn.evaluation.metrics import Interval, StateGroup
from kalmanrnn.evaluation.summary import (
    EstimatorMetrics,
    StateErrors,
    state_errors,
    summarise,
)
from kalmanrnn.scenarios.scenario import Scenario

SEGMENT_S = 10.0


class Comparison(NamedTuple):
    """Everything a report shows, as plain numbers and arrays.

    t: `[E]` seconds from the start of the first drive. seconds: length of that drive.
    agreement: RMSE(student - teacher) by group, in its unit; needs no truth.
    accuracy_ratio: RMSE(student - truth) / RMSE(teacher - truth) by group; imitation_ratio:
    RMSE(student - teacher) / RMSE(teacher - truth). resampled: what the intervals resample.
    nees_band: 95 % band of `EstimatorMetrics.nees` at one event, and of its mean over time with
    each drive counted once, since events are not independent. innovations: of a single drive.
    """

    scenario: str
    summary: str
    groups: tuple[StateGroup, ...]
    drives: int
    seconds: float
    skip_s: float
    seed: int
    teacher: str
    student: str
    has_truth: bool
    t: np.ndarray
    metrics: dict[str, EstimatorMetrics]
    accuracy_ratio: dict[str, Interval]
    imitation_ratio: dict[str, Interval]
    agreement: dict[str, float]
    resampled: str
    nees_band: tuple[float, float]
    examples: tuple[ExampleDrive, ...]
    example_block: str
    innovations: Innovations | None


def compare(
    scenario: Scenario,
    drives: Drive,
    estimates: dict[str, Estimates],
    *,
    teacher: str = "ukf",
    student: str = "student",
    skip_s: float = 10.0,
    seed: int = 0,
    horizontal: bool = False,
) -> Comparison:
    """Compare estimates of the same drives; without truth, by agreement and NIS only.

    skip_s: burn-in, seconds at the start of each drive excluded from all metrics but those over
    time. horizontal: also a group of the first two components of a three-dimensional origin
    block.
    """
    _check(scenario, drives, estimates, teacher, student)
    t = np.asarray(drives.t, float)
    evaluated = t - t[:, :1] >= skip_s
    if not evaluated.any(axis=1).all():
        raise ValueError(f"skip_s must be shorter than every drive, got {skip_s:g}")
    flat = scenario.origin if horizontal and scenario.space.has_height(scenario.origin) else ""
    groups = metrics.state_groups(scenario.space, horizontal=flat)
    errors: dict[str, StateErrors] = {}
    if drives.truth is not None:
        truth = np.asarray(drives.truth, float)
        errors = {
            name: state_errors(scenario.space, groups, truth, estimate.mean, estimate.blocks)
            for name, estimate in estimates.items()
        }
    imitation = state_errors(
        scenario.space, groups, estimates[teacher].mean, estimates[student].mean
    )
    own, reference = errors.get(student), errors.get(teacher)
    ratios = partial(_ratios, denominator=reference, t=t, evaluated=evaluated, seed=seed)
    block = scenario.origin or first_vector(scenario.space)
    scored = imitation if own is None else own
    return Comparison(
        scenario=scenario.name,
        summary=scenario.summary,
        groups=groups,
        drives=len(t),
        seconds=float(t[0, -1] - t[0, 0] + np.median(np.diff(t[0]))),
        skip_s=skip_s,
        seed=seed,
        teacher=teacher,
        student=student,
        has_truth=bool(errors),
        t=t[0] - t[0, 0],
        metrics={
            name: summarise(
                scenario, groups, drives, estimate, errors.get(name), reference, evaluated
            )
            for name, estimate in estimates.items()
        },
        accuracy_ratio=ratios(own),
        imitation_ratio=ratios(imitation),
        agreement={g.name: metrics.rmse(imitation.norms[g.name][evaluated]) for g in groups},
        resampled="drives" if len(t) > 1 else f"{SEGMENT_S:g} s segments of the drive",
        nees_band=metrics.chi_square_band(_known_dims(scenario, reference), len(t)),
        examples=pick_examples(scenario, drives, estimates, block, scored.norms[block], evaluated),
        example_block=block,
        innovations=collect_innovations(scenario, drives, estimates) if len(t) == 1 else None,
    )


def _check(
    scenario: Scenario, drives: Drive, estimates: dict[str, Estimates], teacher: str, student: str
) -> None:
    for name in (teacher, student):
        if name not in estimates:
            raise ValueError(f"there are no estimates of {name!r}, only of {sorted(estimates)}")
    shape = (*np.shape(drives.t), scenario.space.state_dim)
    for name, estimate in estimates.items():
        if np.shape(estimate.mean) != shape:
            raise ValueError(f"{name}: the mean must be {shape}, got {np.shape(estimate.mean)}")


def _ratios(
    numerator: StateErrors | None,
    *,
    denominator: StateErrors | None,
    t: np.ndarray,
    evaluated: np.ndarray,
    seed: int,
) -> dict[str, Interval]:
    """Return RMSE ratios by group, of groups with a known truth."""
    if numerator is None or denominator is None:
        return {}
    samples = partial(_mean_squares, t=t, evaluated=evaluated)
    pairs = {
        name: (samples(numerator.norms[name]), samples(size))
        for name, size in denominator.norms.items()
    }
    return {
        name: metrics.rmse_ratio(*pair, seed=seed)
        for name, pair in pairs.items()
        if not np.isnan(pair[1]).all()
    }


def _mean_squares(size: np.ndarray, *, t: np.ndarray, evaluated: np.ndarray) -> np.ndarray:
    """Return mean squares to resample: one per drive, or per 10 s of a single drive."""
    size = np.where(evaluated, size, np.nan)
    if len(size) > 1:
        return metrics.mean_square(size)
    segment = ((t[0] - t[0, 0]) // SEGMENT_S).astype(int)
    return np.stack([metrics.mean_square(size[0, segment == i]) for i in np.unique(segment)])


def _known_dims(scenario: Scenario, errors: StateErrors | None) -> int:
    if errors is None:
        return scenario.space.tangent_dim
    return max(int(errors.known.any(axis=(0, 1)).sum()), 1)
