"""Judge a trained network on fresh sequences: the task's figure of merit, and examples to draw."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.tasks.model import Model, empty
from kalmanrnn.tasks.predict import carry_on, outputs
from kalmanrnn.tasks.sampler import HELD_OUT, PROBES, drawer, sequences, stream_key
from kalmanrnn.tasks.task import Sample, Verdict
from kalmanrnn.tasks.validation import error_of

SHOWN = 512


class Shown(NamedTuple):
    """Fresh sequences with what the network said, for pictures: numpy, `[B]` in front."""

    name: str
    sample: Sample
    out: np.ndarray
    error: float


class Judged(NamedTuple):
    """A trained network on fresh sequences. shown: held-out ones first, then the probes."""

    verdict: Verdict
    shown: tuple[Shown, ...]


def judge_task(model: Model, budget: BudgetConfig) -> Judged:
    """Judge on held-out sequences and on the task's probes.

    The task's own judge finds this budget in the model's task: another seed, other sequences.
    """
    task = replace(model.task, budget=budget)
    model = model._replace(task=task)
    held = show(model, budget, "held-out sequences", budget.test)
    probed = tuple(probe(model, budget, at, name) for at, name in enumerate(task.probes))
    if task.judge is not None:
        verdict = task.judge(model, stream_key(budget.seed, HELD_OUT))
    else:
        verdict = Verdict(held.error)
    return Judged(verdict, (held, *probed))


def show(model: Model, budget: BudgetConfig, name: str, count: int) -> Shown:
    """Run over fresh sequences of equal length."""
    task = model.task
    count = count if task.lengths is None else min(count, 8)
    sample = sequences(task, budget.seed, HELD_OUT, count)
    if budget.stateful:
        error, out = carried_error(model, sample)
        return Shown(name, few(sample), out[:SHOWN], error)
    out = outputs(model, sample.x)
    return Shown(name, few(sample), out[:SHOWN], error_of(task, out, sample))


def probe(model: Model, budget: BudgetConfig, at: int, name: str) -> Shown:
    """Run over one of the task's other kinds of sequences."""
    task = model.task
    draw = drawer(task.probes[name], task.steps)
    key = jax.random.fold_in(stream_key(budget.seed, PROBES), at)
    sample = jax.tree.map(np.asarray, draw(key, np.arange(min(budget.test, SHOWN))))
    out = outputs(model, sample.x)
    return Shown(name, few(sample), out, error_of(task, out, sample))


def few(sample: Sample) -> Sample:
    """Keep no more sequences than a picture could use."""
    return Sample(*(np.asarray(a)[:SHOWN] for a in sample))


def carried_error(model: Model, sample: Sample) -> tuple[float, np.ndarray]:
    """Run sequences one after the other with the memory carried on: error and outputs.

    What a stateful network does when nobody resets it.
    """
    memory, out = empty(model, 1), []
    for x in np.asarray(sample.x):
        memory, one = carry_on(model, memory, x[None])
        out.append(np.asarray(one)[0])
    return error_of(model.task, np.stack(out), sample), np.stack(out)
