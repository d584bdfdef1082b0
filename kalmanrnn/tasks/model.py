"""A task's network: scales, outputs, loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.models.recurrent import Core, HiddenState, make_core, merge
from kalmanrnn.tasks.task import Sample, SequenceTask


class Scales(NamedTuple):
    """Mean and spread over training sequences, saved with the parameters: `[F]` and `[D]`."""

    x_mean: jax.Array
    x_std: jax.Array
    y_mean: jax.Array
    y_std: jax.Array


class Model(NamedTuple):
    """A task's network with its parameters and scales."""

    task: SequenceTask
    graph: Any
    params: Any
    scales: Scales


def make_model(task: SequenceTask, config: NetworkConfig, *, seed: int) -> Model:
    """Return an untrained network with unit scales."""
    graph, params = make_core(len(task.inputs), task.output_size, config, seed=seed)
    return Model(task, graph, params, unit_scales(task))


def unit_scales(task: SequenceTask) -> Scales:
    """Return scales without effect."""
    f, d = len(task.inputs), len(task.labels)
    return Scales(jnp.zeros(f), jnp.ones(f), jnp.zeros(d), jnp.ones(d))


def fit_scales(task: SequenceTask, x: Any, y: Any) -> Scales:
    """Fit scales to inputs `[..., F]` and labels `[..., D]`; classes are not scaled."""
    unit = unit_scales(task)
    if not task.normalise:
        return unit
    x_mean, x_std = _spread(x)
    if task.is_classification:
        return unit._replace(x_mean=x_mean, x_std=x_std)
    return Scales(x_mean, x_std, *_spread(y))


def _spread(a: Any) -> tuple[jax.Array, jax.Array]:
    flat = np.asarray(a, np.float64).reshape(-1, np.shape(a)[-1])
    std = flat.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    return jnp.asarray(flat.mean(axis=0), jnp.float32), jnp.asarray(std, jnp.float32)


def initial_state(model: Model, batch: int) -> HiddenState:
    """Return the hidden state of `batch` sequences at their start."""
    start = merge(model.graph, model.params).initial_state()
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (batch, *a.shape)), start)


def forward(
    task: SequenceTask, network: Core, scales: Scales, memory: HiddenState, x: jax.Array
) -> tuple[HiddenState, jax.Array]:
    """Run a network over inputs `[B, T, F]`; return memory and raw outputs, shaped like labels.

    Raw: in units of the labels' spread, or logits.
    """
    x = (x - scales.x_mean) / scales.x_std
    memory, seen = network.run_layers(memory, jnp.swapaxes(x, 0, 1))
    if task.per_step:
        return memory, jnp.swapaxes(network.head(seen), 0, 1)
    out = network.head(network.summary(seen))
    shape = (task.horizon,) if task.kind == "forecast" else ()
    return memory, out.reshape(len(x), *shape, len(task.labels))


def task_loss(task: SequenceTask, scales: Scales, raw: jax.Array, sample: Sample) -> jax.Array:
    """Mean squared error in the labels' spread, or mean cross-entropy, where weight is not 0."""
    if task.is_classification:
        each = jnp.logaddexp(0.0, raw) - sample.y * raw
    else:
        each = (raw - (sample.y - scales.y_mean) / scales.y_std) ** 2
    if not task.per_step:
        return jnp.mean(each)
    weight = sample.weight[..., None] / each.shape[-1]
    return jnp.sum(weight * each) / jnp.maximum(jnp.sum(sample.weight), 1.0)


def to_units(task: SequenceTask, scales: Scales, raw: jax.Array) -> jax.Array:
    """Turn raw outputs into labels' units, or into probabilities."""
    return jax.nn.sigmoid(raw) if task.is_classification else raw * scales.y_std + scales.y_mean
