"""Two curves over steps back: how far a network looks, and how its gradient fares.

Sensitivity: the size of d output_T / d x_{T-k}, in spreads of target and input. Gradient: the size
of d loss_T / d carry_{T-k}, which is all that reaches an update k steps back.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.diagnostics.training.network import Network, run_sequence
from kalmanrnn.diagnostics.training.sequences import Sequences

MAX_SEQUENCES, MAX_STEPS, MAX_OUTPUTS = 16, 300, 8


class Curves(NamedTuple):
    """Two curves over steps back `[T]`, means over sequences; 0 is the last step itself."""

    sensitivity: np.ndarray
    gradient: np.ndarray


def measure_curves(network: Network, data: Sequences) -> Curves:
    """Measure both at the ends of a few sequences."""
    pick = np.linspace(0, len(data.inputs) - 1, MAX_SEQUENCES).round().astype(int)
    pick = np.unique(pick)
    steps = min(MAX_STEPS, data.inputs.shape[1])
    xs = jnp.asarray(data.inputs[pick, -steps:], jnp.float32)
    target = jnp.asarray(data.targets[pick, -1], jnp.float32)
    input_spread = _spread(data.inputs)
    target_spread = _spread(data.targets)
    outputs = np.linspace(0, target.shape[1] - 1, MAX_OUTPUTS).round().astype(int)
    jacobians = jax.jit(partial(_jacobians, network, np.unique(outputs)))
    by_x, by_carry, miss = jax.tree.map(np.asarray, jacobians(network.params, xs, target))
    chosen = target_spread[np.unique(outputs)]
    by_x = by_x * input_spread / chosen[None, :, None, None]
    size = np.sqrt(np.sum(by_x**2, axis=(1, 3)))
    pull = np.einsum("nd,ndtc->ntc", miss / chosen, by_carry / chosen[None, :, None, None])
    return Curves(
        np.nan_to_num(size.mean(axis=0)[::-1]),
        np.nan_to_num(np.linalg.norm(pull, axis=2).mean(axis=0)[::-1], posinf=1e30),
    )


def _jacobians(
    network: Network, outputs: np.ndarray, params: Any, xs: jax.Array, target: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return d output / d x `[N, d, T, F]`, d output / d carry `[N, d, T, C]`, and errors."""
    leaves, tree = jax.tree.flatten(network.carry)
    real = [i for i, a in enumerate(leaves) if jnp.issubdtype(a.dtype, jnp.floating)]
    pushes = [jnp.zeros((xs.shape[1], *leaves[i].shape), leaves[i].dtype) for i in real]

    def last(x, pushes):
        def step(params, carry, both):
            x, push = both
            flat = jax.tree.leaves(carry)
            for i, p in zip(real, push, strict=True):
                flat[i] = flat[i] + p
            return network.step(params, jax.tree.unflatten(tree, flat), x)

        both: Any = (x, pushes)
        return run_sequence(network._replace(step=step), params, both)[-1][outputs]

    def one(x, y):
        output, pull = jax.vjp(last, x, pushes)
        by_x, by_carry = jax.vmap(pull)(jnp.eye(len(outputs), dtype=output.dtype))
        flat = [a.reshape(*a.shape[:2], -1) for a in by_carry]
        empty = jnp.zeros((*by_x.shape[:2], 0))
        return by_x, jnp.concatenate([empty, *flat], axis=-1), output - y[outputs]

    return jax.vmap(one)(xs, target)


def _spread(a: np.ndarray) -> np.ndarray:
    spread = a.std(axis=(0, 1))
    return np.where(spread > 0, spread, 1.0)
