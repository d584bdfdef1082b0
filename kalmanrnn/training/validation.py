"""Validate a student while it trains: rollout over the validation drives, nothing reset.

Against the truth and the teacher's own error where the truth is known; on logs without one,
against the teacher, in units of the standard deviations that the teacher states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.data.teacher_runs import TeacherRun
from kalmanrnn.evaluation import metrics
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.models.student import Normaliser, Student, estimator
from kalmanrnn.training.loop import Validation


class ValidationResult(NamedTuple):
    """How a student does.

    score: mean log ratio over state groups, the lower the better; inf when any group is not
    finite. name, error, unit: RMSE of the group people ask for first. ratios: by group.
    without_truth: whether errors are differences from the teacher, for want of a truth.
    """

    score: float
    name: str
    error: float
    unit: str
    ratios: dict[str, float]
    without_truth: bool


def make_validator(
    student: Student, dataset: TeacherRun, burn_in: int
) -> Callable[[Any, Normaliser], ValidationResult]:
    """Return a function that validates parameters on the validation drives."""
    space = student.scenario.space
    difference = jax.jit(jax.vmap(jax.vmap(space.difference)))
    groups = metrics.state_groups(space)
    target, truth = dataset.run.mean, dataset.drives.truth
    without_truth = truth is None or not np.isfinite(truth).all()
    if not without_truth:
        target = truth
    assert target is not None
    stride = dataset.run.mean.shape[1] // target.shape[1]

    def errors(mean: Any) -> np.ndarray:
        at_events = np.asarray(mean)[:, ::stride]
        return np.asarray(difference(at_events, target))[:, burn_in:]

    @jax.jit
    def run(params: Any, norm: Normaliser) -> jax.Array:
        return rollout(estimator(student, params, norm), dataset.drives).mean

    def sizes(e: np.ndarray) -> dict[str, float]:
        known = np.ones(e.shape, bool)
        return {g.name: metrics.rmse(metrics.error_norms(g, e, known)) for g in groups}

    if without_truth:
        stated = np.sqrt(np.diagonal(dataset.run.cov, axis1=-2, axis2=-1))[:, burn_in:]
        teacher = sizes(stated)
    else:
        teacher = sizes(errors(dataset.run.mean))
    shown = next((g for g in groups if g.name == student.scenario.origin), groups[0])

    def validate(params: Any, norm: Normaliser) -> ValidationResult:
        own = sizes(errors(run(params, norm)))
        ratios = {name: own[name] / teacher[name] for name in teacher}
        logs = np.log(np.maximum(list(ratios.values()), 1e-9))
        score = float(np.mean(logs)) if np.all(np.isfinite(logs)) else float("inf")
        return ValidationResult(
            score, shown.name, own[shown.name], shown.unit, ratios, without_truth
        )

    return validate


def describe(result: ValidationResult) -> Validation:
    """Put a result into words."""
    ratios = ", ".join(f"{name} {value:.2f}" for name, value in result.ratios.items())
    error = f"{result.error:.3g} {result.unit}"
    if result.without_truth:
        text = f"{result.name} {error} from the teacher; in its standard deviations: {ratios}"
    else:
        text = f"{result.name} error {error}; student / teacher: {ratios}"
    record = {"validation_error": result.error, "ratios": result.ratios}
    return Validation(result.score, error, text, record)
