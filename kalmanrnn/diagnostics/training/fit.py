"""Short training with plain Adam (Kingma and Ba 2015), several learning rates side by side.

Not the training package's loop: that trains one network for hours, with schedule, checkpoints and
validation, one update a call. Here R networks of any kind train for some hundred updates under one
`vmap` and `scan`, and only their losses count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.diagnostics.training.network import Network, run_sequence
from kalmanrnn.diagnostics.training.sequences import Sequences

Loss = Callable[[jax.Array, jax.Array], jax.Array]


class FitResult(NamedTuple):
    """The result of R trainings.

    losses: `[R, U]` before each update. params: the last ones, `[R]` in front.
    """

    losses: np.ndarray
    params: Any


def mean_squared_error(output: jax.Array, target: jax.Array) -> jax.Array:
    """Return the mean squared error, the default loss."""
    return jnp.mean((output - target) ** 2)


def batch_loss(
    network: Network, loss: Loss, per_step: bool, params: Any, x: jax.Array, y: jax.Array
) -> jax.Array:
    """Return the loss over sequences `[B, T, F]` and targets `[B, T, D]` or `[B, 1, D]`."""
    output = jax.vmap(partial(run_sequence, network, params))(x)
    return loss(output if per_step else output[:, -1:], y)


def fit(
    network: Network,
    data: Sequences,
    rates: np.ndarray,
    *,
    params: Any,
    updates: int,
    batch: int,
    loss: Loss,
    seed: int = 0,
) -> FitResult:
    """Train from `params` (`[R]` in front) at R learning rates, on the same batches."""
    n = len(data.inputs)
    x, y = (jnp.asarray(a, jnp.float32) for a in (data.inputs, data.targets))
    rng = random_stream(seed, Stream.DOCTOR_FIT)
    picks = np.stack([rng.permutation(n)[: min(batch, n)] for _ in range(updates)])
    objective = partial(batch_loss, network, loss, data.per_step)

    def train(rate: jax.Array, params: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
        adam = optax.adam(rate)

        def update(state, now):
            params, moments = state
            value, slope = jax.value_and_grad(objective)(params, x[now], y[now])
            change, moments = adam.update(slope, moments)
            return (optax.apply_updates(params, change), moments), value

        state, values = jax.lax.scan(update, (params, adam.init(params)), jnp.asarray(picks))
        return values, state[0]

    side_by_side = jax.jit(jax.vmap(train, in_axes=(0, 0, None, None)))
    losses, params = side_by_side(jnp.asarray(rates, jnp.float32), params, x, y)
    return FitResult(np.asarray(losses), params)


def replicate(params: Any, count: int) -> Any:
    """Lay the same parameters out `count` times."""
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (count, *jnp.shape(a))), params)


def evaluate_losses(network: Network, data: Sequences, params: Any, loss: Loss) -> np.ndarray:
    """Return the loss `[R]` of each of R parameter sets over all sequences."""
    x, y = (jnp.asarray(a, jnp.float32) for a in (data.inputs, data.targets))
    evaluate = jax.jit(jax.vmap(lambda p: batch_loss(network, loss, data.per_step, p, x, y)))
    return np.asarray(evaluate(params))


def constant_loss(data: Sequences, loss: Loss) -> float:
    """Return the loss of a network that always outputs the targets' mean."""
    y = jnp.asarray(data.targets, jnp.float32)
    return float(loss(jnp.broadcast_to(y.mean(axis=(0, 1)), y.shape), y))
