"""Short trainings with plain Adam (Kingma and Ba 2015): several at once, to be compared."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from kalmanrnn.diagnostics.training.net import Network, run
from kalmanrnn.diagnostics.training.sequences import Series

Loss = Callable[[jax.Array, jax.Array], jax.Array]


class Fitted(NamedTuple):
    """What R trainings came to.

    losses: `[R, U]` before each update. params: the last ones, `[R]` in front.
    """

    losses: np.ndarray
    params: Any


def square(output: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error, where a user gives no loss of his own."""
    return jnp.mean((output - target) ** 2)


def batch_loss(
    network: Network, loss: Loss, per_step: bool, params: Any, x: jax.Array, y: jax.Array
) -> jax.Array:
    """Return the loss over sequences `[B, T, F]` and targets `[B, T, D]` or `[B, 1, D]`."""
    output = jax.vmap(partial(run, network, params))(x)
    return loss(output if per_step else output[:, -1:], y)


def fit(
    network: Network,
    series: Series,
    rates: np.ndarray,
    *,
    params: Any,
    updates: int,
    batch: int,
    loss: Loss,
    seed: int = 0,
) -> Fitted:
    """Train from `params` (`[R]` in front) at R rates side by side, on the same batches."""
    n = len(series.inputs)
    x, y = (jnp.asarray(a, jnp.float32) for a in (series.inputs, series.targets))
    rng = np.random.default_rng(seed)
    picks = np.stack([rng.permutation(n)[: min(batch, n)] for _ in range(updates)])
    objective = partial(batch_loss, network, loss, series.per_step)

    def train(rate: jax.Array, params: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
        adam = optax.adam(rate)

        def update(state, now):
            params, moments = state
            value, slope = jax.value_and_grad(objective)(params, x[now], y[now])
            change, moments = adam.update(slope, moments)
            return (optax.apply_updates(params, change), moments), value

        state, values = jax.lax.scan(update, (params, adam.init(params)), jnp.asarray(picks))
        return values, state[0]

    together = jax.jit(jax.vmap(train, in_axes=(0, 0, None, None)))
    losses, params = together(jnp.asarray(rates, jnp.float32), params, x, y)
    return Fitted(np.asarray(losses), params)


def repeat(params: Any, count: int) -> Any:
    """Lay the same parameters out `count` times."""
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (count, *jnp.shape(a))), params)


def losses_of(network: Network, series: Series, params: Any, loss: Loss) -> np.ndarray:
    """Return the loss of each of R parameter sets over a whole series `[R]`."""
    x, y = (jnp.asarray(a, jnp.float32) for a in (series.inputs, series.targets))
    judge = jax.jit(jax.vmap(lambda p: batch_loss(network, loss, series.per_step, p, x, y)))
    return np.asarray(judge(params))


def blind_loss(series: Series, loss: Loss) -> float:
    """Return the loss of a network that always gives the targets' mean."""
    y = jnp.asarray(series.targets, jnp.float32)
    return float(loss(jnp.broadcast_to(y.mean(axis=(0, 1)), y.shape), y))
