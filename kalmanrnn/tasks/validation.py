"""Validate a task's network during training, on sequences that it is not trained on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import predict_ragged, predict_sequences
from kalmanrnn.tasks.ragged import RaggedSequences, sample_ragged
from kalmanrnn.tasks.sampler import VALIDATION, sample_sequences
from kalmanrnn.tasks.task import Sample, SequenceTask
from kalmanrnn.training.loop import Validation


def make_validation(task: SequenceTask, budget: BudgetConfig) -> Callable[[Model], Validation]:
    """Return a function that validates a model, each sequence from an empty memory."""
    if task.lengths is not None:
        return _of_ragged(task, budget)
    validation = sample_sequences(task, budget.seed, VALIDATION, budget.validation)

    def validate(model: Model) -> Validation:
        return validation_result(model, predict_sequences(model, validation.x), validation)

    return validate


def _of_ragged(task: SequenceTask, budget: BudgetConfig) -> Callable[[Model], Validation]:
    data = sample_ragged(task, budget.seed, VALIDATION, budget.validation)
    batch = min(budget.batch, budget.validation)

    def validate(model: Model) -> Validation:
        flat = predict_ragged(model, data, batch=batch, window=budget.window or task.steps)
        return validation_result(model, flat, as_sample(data))

    return validate


def validation_result(model: Model, out: np.ndarray, sample: Sample) -> Validation:
    """Score in units of the labels' spread, so that none of them counts more than another."""
    task, spread = model.task, np.asarray(model.scales.y_std)
    result = format_error(task, task_error(task, out, sample))
    score = task_error(task, out / spread, sample._replace(y=np.asarray(sample.y) / spread))
    if task.is_classification:
        return result
    return result._replace(score=score if np.isfinite(score) else np.inf)


def as_sample(data: RaggedSequences) -> Sample:
    """Return ragged sequences as one long sample."""
    return Sample(data.x, data.y, data.weight)


def task_error(task: SequenceTask, out: np.ndarray, sample: Sample) -> float:
    """Return the kind's own error, in labels' units.

    forecast: sum of squares over the forecast, mean over sequences. Values: root mean square.
    Classes: share of the steps, or sequences, on the wrong side of one half.
    """
    out, y = np.asarray(out, np.float64), np.asarray(sample.y, np.float64)
    if task.kind == "forecast":
        return float(((out - y) ** 2).sum(axis=(1, 2)).mean())
    each = ((out > 0.5) != (y > 0.5)).astype(float) if task.is_classification else (out - y) ** 2
    weight = np.asarray(sample.weight)[..., None] if task.per_step else np.ones_like(each)
    mean = float((weight * each).sum() / np.broadcast_to(weight, each.shape).sum())
    return mean if task.is_classification else mean**0.5


def format_error(task: SequenceTask, error: float) -> Validation:
    """Return a kind's error as score, text and record."""
    score = error if np.isfinite(error) else float("inf")
    if task.is_classification:
        short, name = f"{100 * error:.3g} %", "wrong"
    else:
        unit = task.labels[0].unit if len({c.unit for c in task.labels}) == 1 else ""
        unit = f"{unit}^2" if unit and task.kind == "forecast" else unit
        name = "sum of squares" if task.kind == "forecast" else "root mean square error"
        short = f"{error:.4g} {unit}".strip()
    return Validation(
        score, short, f"{name} on validation sequences: {short}", {"validation_error": error}
    )
