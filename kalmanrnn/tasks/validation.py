"""Judge a task's network while it learns, on sequences that it never learns from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import outputs, outputs_ragged
from kalmanrnn.tasks.ragged import Store, make_store
from kalmanrnn.tasks.sampler import WATCHED, sequences
from kalmanrnn.tasks.task import Sample, SequenceTask
from kalmanrnn.training.loop import Look


def watcher(task: SequenceTask, budget: BudgetConfig) -> Callable[[Model], Look]:
    """Return a function that judges a model; each watched sequence begins with a fresh memory."""
    if task.lengths is not None:
        return _of_store(task, budget)
    watched = sequences(task, budget.seed, WATCHED, budget.validation)

    def look(model: Model) -> Look:
        return judged(model, outputs(model, watched.x), watched)

    return look


def _of_store(task: SequenceTask, budget: BudgetConfig) -> Callable[[Model], Look]:
    store = make_store(task, budget.seed, WATCHED, budget.validation)
    batch = min(budget.batch, budget.validation)

    def look(model: Model) -> Look:
        flat = outputs_ragged(model, store, batch=batch, window=budget.window or task.steps)
        return judged(model, flat, whole(store))

    return look


def judged(model: Model, out: np.ndarray, sample: Sample) -> Look:
    """Score in units of the labels' spread, so that none of them counts more than another."""
    task, spread = model.task, np.asarray(model.scales.y_std)
    look = say(task, error_of(task, out, sample))
    score = error_of(task, out / spread, sample._replace(y=np.asarray(sample.y) / spread))
    return look if task.classes else look._replace(score=score if np.isfinite(score) else np.inf)


def whole(store: Store) -> Sample:
    """Take a store as one long sample."""
    return Sample(store.x, store.y, store.weight)


def error_of(task: SequenceTask, out: np.ndarray, sample: Sample) -> float:
    """Return the kind's own error, in labels' units.

    forecast: sum of squares over the forecast, mean over sequences. Values: root mean square.
    Classes: share of the steps, or sequences, on the wrong side of one half.
    """
    out, y = np.asarray(out, np.float64), np.asarray(sample.y, np.float64)
    if task.kind == "forecast":
        return float(((out - y) ** 2).sum(axis=(1, 2)).mean())
    each = ((out > 0.5) != (y > 0.5)).astype(float) if task.classes else (out - y) ** 2
    weight = np.asarray(sample.weight)[..., None] if task.by_step else np.ones_like(each)
    mean = float((weight * each).sum() / np.broadcast_to(weight, each.shape).sum())
    return mean if task.classes else mean**0.5


def say(task: SequenceTask, error: float) -> Look:
    """Put a kind's error into words."""
    score = error if np.isfinite(error) else float("inf")
    if task.classes:
        short, name = f"{100 * error:.3g} %", "wrong"
    else:
        unit = task.labels[0].unit if len({c.unit for c in task.labels}) == 1 else ""
        unit = f"{unit}^2" if unit and task.kind == "forecast" else unit
        name = "sum of squares" if task.kind == "forecast" else "root mean square error"
        short = f"{error:.4g} {unit}".strip()
    return Look(score, short, f"{name} on watched sequences: {short}", {"held_out": error})
