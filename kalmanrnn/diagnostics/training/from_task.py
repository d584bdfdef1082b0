"""A sequence task's sequences, as its network sees them."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import jax
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig, TaskConfig
from kalmanrnn.diagnostics.training.diagnose import Diagnosis, Tell, by_cause, examine
from kalmanrnn.diagnostics.training.lags import short_for_lag
from kalmanrnn.diagnostics.training.net import Network, of_core
from kalmanrnn.diagnostics.training.output_range import output_layer
from kalmanrnn.diagnostics.training.sequences import Series
from kalmanrnn.diagnostics.training.settings import Settings
from kalmanrnn.tasks.model import Model, Scales, fit_scales, make_model
from kalmanrnn.tasks.run import configured
from kalmanrnn.tasks.sampler import HELD_OUT, TRAINING, sequences
from kalmanrnn.tasks.task import Sample, SequenceTask

SEQUENCES, MOST_NUMBERS, MOST_UNITS = 256, 2_000_000, 32


def from_task(config: TaskConfig, tell: Tell, *, learn: bool = True) -> Diagnosis:
    """Look at a task before anything is trained."""
    return look_at_task(configured(config), config.budget, tell, None, None, learn=learn)


def look_at_task(
    task: SequenceTask,
    budget: BudgetConfig,
    tell: Tell,
    model: Model | None,
    network: Network | None,
    *,
    learn: bool = True,
) -> Diagnosis:
    """Draw training and held-out sequences and examine them, in the network's own units."""
    tell(f"drawing sequences of {task.name}")
    most = int(np.clip(MOST_NUMBERS // (task.steps * len(task.inputs)), 16, SEQUENCES))
    count = min(budget.sequences or most, most)
    learnt = sequences(task, budget.seed, TRAINING, count)
    held = sequences(task, budget.seed, HELD_OUT, min(most, 128))
    scales = model.scales if model is not None else fit_scales(task, learnt.x, learnt.y)
    settings = Settings(
        carried=budget.stateful,
        learning_rate=budget.learning_rate if budget.optimiser == "adam" else None,
        learn=learn and model is None,
        core=steppable(task.network),
        stride=prod(stride for _, _, stride in task.network.conv),
        # A recurrent layer's units, the answer itself: tanh keeps them between -1 and 1.
        output_range=(-1.0, 1.0) if task.network.recurrent_output else None,
    )
    series = _series(task, learnt, scales)
    seen = examine(series, _series(task, held, scales), network, settings, tell)
    again = f"kalmanrnn train --sim {task.name}"
    window = short_for_lag("--window", budget.window, seen.lags, again)
    if task.by_step and window:
        seen = seen._replace(findings=by_cause([*seen.findings, *window]))
    if network is not None or not task.network.recurrent_output:
        return seen
    blank = network_of(make_model(task, task.network, seed=budget.seed))
    assert blank is not None
    found = output_layer(blank, series, (-1.0, 1.0))
    return seen._replace(findings=by_cause([*seen.findings, *found]))


def steppable(network: NetworkConfig) -> NetworkConfig:
    """Return a small core like a task's own that runs step by step."""
    hidden, head = (min(n, MOST_UNITS) for n in (network.hidden, network.head))
    layers = min(network.layers, 2)
    return replace(network, hidden=hidden, head=head, layers=layers, conv=(), bidirectional=False)


def network_of(model: Model) -> Network | None:
    """Return a trained network as a step; None where it needs the whole sequence at once."""
    config = model.task.network
    if config.conv or config.bidirectional:
        return None
    return of_core(model.graph, model.params)


def _series(task: SequenceTask, sample: Sample, scales: Scales) -> Series:
    made = jax.tree.map(np.asarray, sample)
    x, y = made.x.astype(float), made.y.astype(float)
    x = (x - np.asarray(scales.x_mean)) / np.asarray(scales.x_std)
    y = (y - np.asarray(scales.y_mean)) / np.asarray(scales.y_std)
    return Series(x, y if task.by_step else y.reshape(len(y), 1, -1), task.by_step)
