"""Diagnose a sequence task and its network."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import jax
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig, TaskConfig
from kalmanrnn.diagnostics.training.diagnosis import Diagnosis, Log, by_cause, run_checks
from kalmanrnn.diagnostics.training.lags import check_window_for_lag
from kalmanrnn.diagnostics.training.network import Network, from_core
from kalmanrnn.diagnostics.training.output_range import check_output_layer
from kalmanrnn.diagnostics.training.sequences import Sequences
from kalmanrnn.diagnostics.training.settings import DiagnosisConfig
from kalmanrnn.tasks.model import Model, Scales, fit_scales, make_model
from kalmanrnn.tasks.run import load_configured_task
from kalmanrnn.tasks.sampler import TEST, TRAINING, sample_sequences
from kalmanrnn.tasks.task import Sample, SequenceTask

SEQUENCES, MAX_NUMBERS, MAX_UNITS = 256, 2_000_000, 32


def from_task(config: TaskConfig, log: Log, *, learn: bool = True) -> Diagnosis:
    """Diagnose a task before anything is trained."""
    return diagnose_model(load_configured_task(config), config.budget, log, None, None, learn=learn)


def diagnose_model(
    task: SequenceTask,
    budget: BudgetConfig,
    log: Log,
    model: Model | None,
    network: Network | None,
    *,
    learn: bool = True,
) -> Diagnosis:
    """Draw training and validation sequences and check them, in the network's own units."""
    log(f"drawing sequences of {task.name}")
    most = int(np.clip(MAX_NUMBERS // (task.steps * len(task.inputs)), 16, SEQUENCES))
    count = min(budget.sequences or most, most)
    training = sample_sequences(task, budget.seed, TRAINING, count)
    validation = sample_sequences(task, budget.seed, TEST, min(most, 128))
    scales = model.scales if model is not None else fit_scales(task, training.x, training.y)
    settings = DiagnosisConfig(
        stateful=budget.stateful,
        learning_rate=budget.learning_rate if budget.optimiser == "adam" else None,
        learn=learn and model is None,
        core=steppable(task.network),
        stride=prod(stride for _, _, stride in task.network.conv),
        # A recurrent output layer: tanh keeps its units between -1 and 1.
        output_range=(-1.0, 1.0) if task.network.recurrent_output else None,
    )
    data = _make_data(task, training, scales)
    seen = run_checks(data, _make_data(task, validation, scales), network, settings, log)
    again = f"kalmanrnn train --sim {task.name}"
    window = check_window_for_lag("--window", budget.window, seen.lags, again)
    if task.per_step and window:
        seen = seen._replace(findings=by_cause([*seen.findings, *window]))
    if network is not None or not task.network.recurrent_output:
        return seen
    blank = network_of(make_model(task, task.network, seed=budget.seed))
    assert blank is not None
    found = check_output_layer(blank, data, (-1.0, 1.0))
    return seen._replace(findings=by_cause([*seen.findings, *found]))


def steppable(network: NetworkConfig) -> NetworkConfig:
    """Return a small core like a task's own that runs step by step."""
    hidden, head = (min(n, MAX_UNITS) for n in (network.hidden, network.head))
    layers = min(network.layers, 2)
    return replace(network, hidden=hidden, head=head, layers=layers, conv=(), bidirectional=False)


def network_of(model: Model) -> Network | None:
    """Return a trained network as a step; None where it needs the whole sequence at once."""
    config = model.task.network
    if config.conv or config.bidirectional:
        return None
    return from_core(model.graph, model.params)


def _make_data(task: SequenceTask, sample: Sample, scales: Scales) -> Sequences:
    made = jax.tree.map(np.asarray, sample)
    x, y = made.x.astype(float), made.y.astype(float)
    x = (x - np.asarray(scales.x_mean)) / np.asarray(scales.x_std)
    y = (y - np.asarray(scales.y_mean)) / np.asarray(scales.y_std)
    return Sequences(x, y if task.per_step else y.reshape(len(y), 1, -1), task.per_step)
