"""Check what a network can output at all, and whether its output is its memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.network import Network, count_numbers, run_sequence
from kalmanrnn.diagnostics.training.sequences import Sequences

TRIES, STEPS = 24, 12
# How near to a bound of an activation a probe must come.
TOUCHES = 0.01
OUTSIDE = 1e-3


def probe_output_range(network: Network, features: int) -> tuple[float, float]:
    """Probe the range of outputs with extreme inputs, and extreme parameters if there are any.

    Returns (-1, 1), (0, 1), (0, inf) or (-inf, inf).
    """
    x_key, p_key = jax.random.split(jax.random.key(0))
    size = 10.0 ** jnp.linspace(-1, 4, TRIES)
    xs = jax.random.normal(x_key, (TRIES, STEPS, features)) * size[:, None, None]
    params, axis = network.params, None
    if network.is_trainable:
        params, axis = _extreme_params(network.params, p_key), 0
    probe = jax.jit(jax.vmap(lambda p, x: run_sequence(network, p, x), in_axes=(axis, 0)))
    seen = np.asarray(probe(params, xs))
    seen = seen[np.isfinite(seen)]
    if not seen.size or np.ptp(seen) == 0:
        return -np.inf, np.inf
    low, high = seen.min(), seen.max()
    one = high <= 1 + 1e-6 and high > 1 - TOUCHES
    if one and low >= -1 - 1e-6 and low < -1 + TOUCHES:
        return -1.0, 1.0
    if one and low >= -1e-6 and low < TOUCHES:
        return 0.0, 1.0
    if low >= 0 and low < TOUCHES and high > 10:
        return 0.0, np.inf
    return -np.inf, np.inf


def check_output_range(data: Sequences, low: float, high: float) -> list[Finding]:
    """Find targets outside the range of outputs."""
    margin = OUTSIDE * (high - low if np.isfinite(high - low) else 1.0)
    outside = (data.targets < low - margin) | (data.targets > high + margin)
    share = float(outside.mean())
    if not share:
        return []
    y = data.targets
    return [
        Finding(
            "error",
            "range",
            f"{share:.0%} of the targets lie outside the range of outputs: they go from "
            f"{y.min():.3g} to {y.max():.3g}, outputs from {low:g} to {high:g}",
            share,
            "end with a linear layer without activation, and scale targets to unit spread",
            "output = h @ W + b   # no tanh, sigmoid or relu after it",
        )
    ]


def check_output_layer(
    network: Network, data: Sequences, limits: tuple[float, float]
) -> list[Finding]:
    """Find a recurrent layer used as the output layer: outputs that are bounded memory."""
    if limits != (-1.0, 1.0):
        return []
    x = jnp.asarray(data.inputs[0, :STEPS], jnp.float32)
    output: Any = None
    carry = network.carry
    for step in x[:3]:
        carry, output = network.step(network.params, carry, step)
    output = np.ravel(output)
    same = [
        np.size(leaf) == output.size and np.allclose(np.ravel(leaf), output, rtol=1e-5, atol=1e-7)
        for leaf in jax.tree.leaves(carry)
    ]
    if not any(same) or not np.any(output):
        return []
    whole = count_numbers(network.carry)
    alone = whole <= 2 * output.size
    return [
        Finding(
            "error" if alone else "warning",
            "output layer",
            f"a recurrent layer is the output layer: its {output.size} outputs, each between -1 "
            f"and 1, are themselves {'the whole' if alone else 'a'} memory ({whole} numbers are "
            "carried in all)",
            float(whole),
            "add a linear layer after the recurrent one, and give that 32 units or more",
            "LSTM(64) -> Dense(3)   instead of   LSTM(3)",
        )
    ]


def _extreme_params(params: Any, key: jax.Array) -> Any:
    """Return TRIES random sets of parameters, from small to large."""
    leaves, tree = jax.tree.flatten(params)
    size = 10.0 ** jnp.tile(jnp.linspace(-1, 2, TRIES // 3), 3)

    def draw(key, a):
        if not jnp.issubdtype(jnp.asarray(a).dtype, jnp.floating):
            return jnp.broadcast_to(a, (TRIES, *jnp.shape(a)))
        wild = jax.random.normal(key, (TRIES, *jnp.shape(a)), jnp.asarray(a).dtype)
        return wild * size.reshape(-1, *[1] * jnp.ndim(a)).astype(wild.dtype)

    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [draw(k, a) for k, a in zip(keys, leaves, strict=True)])
