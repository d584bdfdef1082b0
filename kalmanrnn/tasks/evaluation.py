"""Evaluate a trained network on fresh sequences: the task's metric, and examples to draw."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.tasks.model import Model, initial_state
from kalmanrnn.tasks.predict import predict_sequences, run_from
from kalmanrnn.tasks.sampler import PROBES, TEST, make_sampler, sample_sequences, stream_key
from kalmanrnn.tasks.task import Sample, TaskMetrics
from kalmanrnn.tasks.validation import task_error

MAX_SHOWN = 512


class EvaluatedSet(NamedTuple):
    """Fresh sequences with the network's outputs, for figures: numpy, `[B]` in front."""

    name: str
    sample: Sample
    outputs: np.ndarray
    error: float


class TaskEvaluation(NamedTuple):
    """A trained network on fresh sequences. sets: the test set first, then the probes."""

    metrics: TaskMetrics
    sets: tuple[EvaluatedSet, ...]


def evaluate_model(model: Model, budget: BudgetConfig) -> TaskEvaluation:
    """Evaluate on the test set and on the task's probes.

    The task's own `evaluate` finds this budget in the model's task: another seed, other sequences.
    """
    task = replace(model.task, budget=budget)
    model = model._replace(task=task)
    test = evaluate_test_set(model, budget, "test sequences", budget.test)
    probed = tuple(evaluate_probe(model, budget, at, name) for at, name in enumerate(task.probes))
    if task.evaluate is not None:
        metrics = task.evaluate(model, stream_key(budget.seed, TEST))
    else:
        metrics = TaskMetrics(test.error)
    return TaskEvaluation(metrics, (test, *probed))


def evaluate_test_set(model: Model, budget: BudgetConfig, name: str, count: int) -> EvaluatedSet:
    """Run over test sequences of equal length."""
    task = model.task
    count = count if task.lengths is None else min(count, 8)
    sample = sample_sequences(task, budget.seed, TEST, count)
    if budget.stateful:
        error, out = stateful_error(model, sample)
        return EvaluatedSet(name, first_few(sample), out[:MAX_SHOWN], error)
    out = predict_sequences(model, sample.x)
    return EvaluatedSet(name, first_few(sample), out[:MAX_SHOWN], task_error(task, out, sample))


def evaluate_probe(model: Model, budget: BudgetConfig, at: int, name: str) -> EvaluatedSet:
    """Run over one of the task's probes."""
    task = model.task
    sampler = make_sampler(task.probes[name], task.steps)
    key = jax.random.fold_in(stream_key(budget.seed, PROBES), at)
    sample = jax.tree.map(np.asarray, sampler(key, np.arange(min(budget.test, MAX_SHOWN))))
    out = predict_sequences(model, sample.x)
    return EvaluatedSet(name, first_few(sample), out, task_error(task, out, sample))


def first_few(sample: Sample) -> Sample:
    """Keep as many sequences as a figure could use."""
    return Sample(*(np.asarray(a)[:MAX_SHOWN] for a in sample))


def stateful_error(model: Model, sample: Sample) -> tuple[float, np.ndarray]:
    """Run sequences one after another without resetting the memory; return error and outputs."""
    memory, out = initial_state(model, 1), []
    for x in np.asarray(sample.x):
        memory, one = run_from(model, memory, x[None])
        out.append(np.asarray(one)[0])
    return task_error(model.task, np.stack(out), sample), np.stack(out)
