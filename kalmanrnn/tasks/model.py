"""A task's network and what it says: scales, outputs, loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.models.recurrent import Core, HiddenState, make_core, merge
from kalmanrnn.tasks.task import Sample, SequenceTask


class Scales(NamedTuple):
    """Spread over training sequences; travels with the parameters. `[F]`, `[F]`, `[D]`, `[D]`."""

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
    """Return a network with its first parameters, scales of one."""
    graph, params = make_core(len(task.inputs), task.outputs, config, seed=seed)
    return Model(task, graph, params, blank_scales(task))


def blank_scales(task: SequenceTask) -> Scales:
    """Return scales that change nothing."""
    f, d = len(task.inputs), len(task.labels)
    return Scales(jnp.zeros(f), jnp.ones(f), jnp.zeros(d), jnp.ones(d))


def fit_scales(task: SequenceTask, x: Any, y: Any) -> Scales:
    """Fit scales to training sequences `[..., F]` and labels `[..., D]`; classes keep theirs."""
    blank = blank_scales(task)
    if not task.scaled:
        return blank
    x_mean, x_std = _spread(x)
    if task.classes:
        return blank._replace(x_mean=x_mean, x_std=x_std)
    return Scales(x_mean, x_std, *_spread(y))


def _spread(a: Any) -> tuple[jax.Array, jax.Array]:
    flat = np.asarray(a, np.float64).reshape(-1, np.shape(a)[-1])
    std = flat.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    return jnp.asarray(flat.mean(axis=0), jnp.float32), jnp.asarray(std, jnp.float32)


def empty(model: Model, batch: int) -> HiddenState:
    """Return the memory of `batch` sequences at their beginning."""
    start = merge(model.graph, model.params).initial_state()
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (batch, *a.shape)), start)


def answer(
    task: SequenceTask, network: Core, scales: Scales, memory: HiddenState, x: jax.Array
) -> tuple[HiddenState, jax.Array]:
    """Run a network over inputs `[B, T, F]`; memory after, and raw outputs shaped as labels are.

    Raw: in units of the labels' spread, or logits.
    """
    x = (x - scales.x_mean) / scales.x_std
    memory, seen = network.run_layers(memory, jnp.swapaxes(x, 0, 1))
    if task.by_step:
        return memory, jnp.swapaxes(network.head(seen), 0, 1)
    out = network.head(network.summary(seen))
    shape = (task.ahead,) if task.kind == "forecast" else ()
    return memory, out.reshape(len(x), *shape, len(task.labels))


def loss_of(task: SequenceTask, scales: Scales, raw: jax.Array, sample: Sample) -> jax.Array:
    """Mean squared error in the labels' spread, or mean cross-entropy, where weight is not 0."""
    if task.classes:
        each = jnp.logaddexp(0.0, raw) - sample.y * raw
    else:
        each = (raw - (sample.y - scales.y_mean) / scales.y_std) ** 2
    if not task.by_step:
        return jnp.mean(each)
    weight = sample.weight[..., None] / each.shape[-1]
    return jnp.sum(weight * each) / jnp.maximum(jnp.sum(sample.weight), 1.0)


def in_units(task: SequenceTask, scales: Scales, raw: jax.Array) -> jax.Array:
    """Turn raw outputs into labels' units, or into probabilities."""
    return jax.nn.sigmoid(raw) if task.classes else raw * scales.y_std + scales.y_mean
