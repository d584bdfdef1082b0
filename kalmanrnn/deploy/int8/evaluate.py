"""Accuracy of int8 weights: a student's errors on test drives beside its float32 errors.

A student that they make worse than a limit is not exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.config import DataConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.data.datasets import TEST
from kalmanrnn.data.teacher_runs import make_drives
from kalmanrnn.deploy.int8.calibration import input_moments
from kalmanrnn.deploy.int8.quantise import Scales, quantise_weights
from kalmanrnn.evaluation import metrics
from kalmanrnn.evaluation.estimates import run_filter, run_student
from kalmanrnn.evaluation.metrics import Interval
from kalmanrnn.evaluation.summary import StateErrors, state_errors
from kalmanrnn.training.trained import TrainedStudent

DRIVES = 64
# A set of its own, used neither for training nor for tests: the inputs of the weights.
CALIBRATION_SET = -3


class GroupErrors(NamedTuple):
    """Root mean square errors of one state group, in `unit`; ratios with 95 % intervals.

    int8, float32, ukf: the errors of the int8 student, the float32 student and the UKF.
    """

    name: str
    unit: str
    int8: float
    float32: float
    ukf: float
    int8_to_float32: Interval
    int8_to_ukf: Interval
    float32_to_ukf: Interval


class QuantisationResult(NamedTuple):
    """A student with rounded weights, their scales, and its errors on test drives."""

    trained: TrainedStudent
    scales: Scales
    errors: tuple[GroupErrors, ...]
    drives: int
    seconds: float
    limit: float


def quantise_within(
    trained: TrainedStudent, data: DataConfig, seed: int, limit: float
) -> QuantisationResult:
    """Round a student's weights and compare on test drives; UserError above `limit`."""
    scenario = trained.student.scenario
    seen = input_moments(trained, make_drives(scenario, data, seed, CALIBRATION_SET, DRIVES // 4))
    params, scales = quantise_weights(trained.params, seen)
    small = trained._replace(params=params)
    losses = compare(trained, small, data, seed)
    worse = [g for g in losses if not g.int8_to_float32.value <= limit]
    if worse:
        ratios = ", ".join(f"{g.name} {g.int8_to_float32.value:.3f}" for g in worse)
        most = max(g.int8_to_float32.value for g in losses)
        # NaN where a student has no error at all.
        allow = f"--int8-limit {most * 1.005:.2f}, or " if np.isfinite(most) else ""
        raise UserError(
            f"int8 weights raise this student's error to more than {limit:g} times that of float32",
            why=f"int8 : float32 on {DRIVES} test drives: {ratios}",
            cure=f"{allow}--weights float32",
        )
    return QuantisationResult(small, scales, losses, DRIVES, data.seconds, limit)


def compare(
    float32: TrainedStudent, int8: TrainedStudent, data: DataConfig, seed: int
) -> tuple[GroupErrors, ...]:
    """Run both students and the UKF over the same drives; return errors by state group."""
    scenario = float32.student.scenario
    drives = make_drives(scenario, data, seed, TEST, DRIVES)
    groups = metrics.state_groups(scenario.space)
    truth, t = np.asarray(drives.truth, float), np.asarray(drives.t, float)
    since = t - t[:, :1]
    late = since >= min(data.skip_s, float(since.max()) / 2)
    tracks = [run_student(x.student, x.params, x.norm, drives) for x in (int8, float32)]
    tracks.append(run_filter(scenario, drives, "ukf"))
    errors = [state_errors(scenario.space, groups, truth, track.mean) for track in tracks]

    def one(group: metrics.StateGroup) -> GroupErrors:
        sizes = [_evaluated(e, group.name, late) for e in errors]
        squares = [metrics.mean_square(size) for size in sizes]
        ratios = [metrics.rmse_ratio(squares[a], squares[b], seed=seed) for a, b in _PAIRS]
        small, own, ukf = map(metrics.rmse, sizes)
        return GroupErrors(group.name, group.unit, small, own, ukf, *ratios)

    return tuple(one(group) for group in groups)


_PAIRS = ((0, 1), (0, 2), (1, 2))


def _evaluated(errors: StateErrors, name: str, late: np.ndarray) -> np.ndarray:
    return np.where(late, errors.norms[name], np.nan)


def format_errors(result: QuantisationResult) -> str:
    """Return the section of REPORT.md on int8 weights."""
    rows = [_row(loss) for loss in result.errors]
    return "\n".join(
        [
            "## int8 weights",
            "",
            f"Root mean square errors on {result.drives} test drives of {result.seconds:g} s, "
            "ratios with 95 % intervals. An export is refused where the first ratio exceeds "
            f"{result.limit:g} in any row.",
            "",
            "| | int8 student | float32 student | UKF | int8 : float32 | int8 : UKF | "
            "float32 : UKF |",
            "|---" * 7 + "|",
            *rows,
            "",
        ]
    )


def _row(loss: GroupErrors) -> str:
    def ratio(r: Interval) -> str:
        return f"{r.value:.3f} ({r.low:.3f} to {r.high:.3f})"

    errors: Sequence[float] = (loss.int8, loss.float32, loss.ukf)
    cells = [f"{e:.4g}" for e in errors]
    cells += [ratio(r) for r in (loss.int8_to_float32, loss.int8_to_ukf, loss.float32_to_ukf)]
    return f"| {loss.name.replace('_', ' ')} [{loss.unit}] | " + " | ".join(cells) + " |"
