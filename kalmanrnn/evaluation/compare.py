"""Several estimators on the same drives, judged against the truth and against the teacher."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.evaluation import metrics
from kalmanrnn.evaluation.estimates import (
    Estimates,
    microseconds_per_tick,
    run_baselines,
    run_filter,
)
from kalmanrnn.evaluation.example_drives import ExampleDrive, first_vector, pick_examples
from kalmanrnn.evaluation.innovations import Innovations, collect_innovations
from kalmanrnn.evaluation.metrics import Interval, StateGroup
from kalmanrnn.evaluation.summary import (
    EstimatorMetrics,
    StateErrors,
    state_errors,
    summarise,
    tangent_errors,
)
from kalmanrnn.scenarios.scenario import Scenario

STRETCH_S = 10.0


class Comparison(NamedTuple):
    """Everything a report says, as plain numbers and arrays.

    t: `[E]` seconds from the start of the first drive. seconds: length of that drive.
    agreement: RMSE(student - teacher) by group, in its unit; needs no truth.
    accuracy_ratio, imitation_ratio: by group, as DESIGN.md's words define them.
    resampled: what the intervals were drawn from. nees_band: 95 % band of `Outcome.nees` at one
    event; of its mean over time too, each drive counted once, for events are not independent.
    innovations: of a drive that is alone.
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
    """Judge tracks of the same drives; drives without truth get agreement and NIS only.

    skip_s: seconds at the start of each drive that no figure but those over time counts.
    horizontal: also judge the first two components of the origin block by themselves, if it
    has three.
    """
    _check(scenario, drives, estimates, teacher, student)
    t = np.asarray(drives.t, float)
    late = t - t[:, :1] >= skip_s
    if not late.any(axis=1).all():
        raise ValueError(f"skip_s must leave a part of every drive, got {skip_s:g}")
    flat = scenario.origin if horizontal and scenario.space.has_height(scenario.origin) else ""
    groups = metrics.state_groups(scenario.space, horizontal=flat)
    against: dict[str, StateErrors] = {}
    if drives.truth is not None:
        truth = np.asarray(drives.truth, float)
        against = {
            name: state_errors(scenario.space, groups, truth, track.mean, track.blocks)
            for name, track in estimates.items()
        }
    copied = state_errors(scenario.space, groups, estimates[teacher].mean, estimates[student].mean)
    own, taught = against.get(student), against.get(teacher)
    ratios = partial(_ratios, below=taught, t=t, late=late, seed=seed)
    block = scenario.origin or first_vector(scenario.space)
    score = copied if own is None else own
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
        has_truth=bool(against),
        t=t[0] - t[0, 0],
        metrics={
            name: summarise(scenario, groups, drives, track, against.get(name), taught, late)
            for name, track in estimates.items()
        },
        accuracy_ratio=ratios(own),
        imitation_ratio=ratios(copied),
        agreement={g.name: metrics.rmse(copied.norms[g.name][late]) for g in groups},
        resampled="drives" if len(t) > 1 else f"{STRETCH_S:g} s stretches of the one drive",
        nees_band=metrics.chi_square_band(_known_dims(scenario, taught), len(t)),
        examples=pick_examples(scenario, drives, estimates, block, score.norms[block], late),
        example_block=block,
        innovations=collect_innovations(scenario, drives, estimates) if len(t) == 1 else None,
    )


def _check(
    scenario: Scenario, drives: Drive, tracks: dict[str, Estimates], teacher: str, student: str
) -> None:
    for name in (teacher, student):
        if name not in tracks:
            raise ValueError(f"there is no track {name!r} among {sorted(tracks)}")
    shape = (*np.shape(drives.t), scenario.space.state_dim)
    for name, track in tracks.items():
        if np.shape(track.mean) != shape:
            raise ValueError(f"{name}: a track's mean must be {shape}, got {np.shape(track.mean)}")


def _ratios(
    above: StateErrors | None,
    *,
    below: StateErrors | None,
    t: np.ndarray,
    late: np.ndarray,
    seed: int,
) -> dict[str, Interval]:
    """RMSE ratios by group, of the groups whose truth is known."""
    if above is None or below is None:
        return {}
    cut = partial(_mean_squares, t=t, late=late)
    pairs = {name: (cut(above.norms[name]), cut(size)) for name, size in below.norms.items()}
    return {
        name: metrics.rmse_ratio(*pair, seed=seed)
        for name, pair in pairs.items()
        if not np.isnan(pair[1]).all()
    }


def _mean_squares(size: np.ndarray, *, t: np.ndarray, late: np.ndarray) -> np.ndarray:
    """Mean squares to resample: one per drive, or per 10 s of a drive that is alone."""
    size = np.where(late, size, np.nan)
    if len(size) > 1:
        return metrics.mean_square(size)
    stretch = ((t[0] - t[0, 0]) // STRETCH_S).astype(int)
    return np.stack([metrics.mean_square(size[0, stretch == i]) for i in np.unique(stretch)])


def _known_dims(scenario: Scenario, errors: StateErrors | None) -> int:
    if errors is None:
        return scenario.space.tangent_dim
    return max(int(errors.known.any(axis=(0, 1)).sum()), 1)


__all__ = [
    "Comparison",
    "EstimatorMetrics",
    "ExampleDrive",
    "Estimates",
    "run_baselines",
    "compare",
    "run_filter",
    "microseconds_per_tick",
    "tangent_errors",
]
