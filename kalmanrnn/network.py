"""The recurrent core: stacked cells and a head, and how they start.

The only importer of flax. Cells are written with the input projection apart from the recurrent
one, so that a whole sequence's projections are one matrix product outside the scan.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from kalmanrnn.config import StudentConfig

Memory = tuple[tuple[jax.Array, ...], ...]
GATES = {"lstm": 4, "gru": 3, "elman": 1}


class Layer(nnx.Module):
    """One recurrent layer: `x_map` on the input, `h_map` on the last output."""

    def __init__(self, inputs: int, config: StudentConfig, *, rngs: nnx.Rngs):
        self.cell = config.cell
        self.hidden = config.hidden
        width = GATES[config.cell] * config.hidden
        self.x_map = nnx.Linear(inputs, width, rngs=rngs)
        self.h_map = nnx.Linear(
            config.hidden,
            width,
            use_bias=False,
            kernel_init=nnx.initializers.orthogonal(),
            rngs=rngs,
        )
        if config.cell == "lstm":
            assert self.x_map.bias is not None
            self.x_map.bias[...] = _chrono(rngs.params(), config)

    def start(self) -> tuple[jax.Array, ...]:
        """Return the empty memory."""
        zero = jnp.zeros(self.hidden)
        return (zero, zero) if self.cell == "lstm" else (zero,)

    def update(
        self, memory: tuple[jax.Array, ...], projected: jax.Array
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Advance by one step, given the input's projection."""
        recurrent = self.h_map(memory[0])
        if self.cell == "lstm":
            i, f, g, o = jnp.split(projected + recurrent, 4, axis=-1)
            c = jax.nn.sigmoid(f) * memory[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h
        if self.cell == "gru":
            (r_x, z_x, n_x), (r_h, z_h, n_h) = (
                jnp.split(a, 3, axis=-1) for a in (projected, recurrent)
            )
            z = jax.nn.sigmoid(z_x + z_h)
            h = (1 - z) * jnp.tanh(n_x + jax.nn.sigmoid(r_x + r_h) * n_h) + z * memory[0]
            return (h,), h
        h = jnp.tanh(projected + recurrent)
        return (h,), h


class Core(nnx.Module):
    """Stacked recurrent layers, then a small head whose last layer starts at zero."""

    def __init__(self, inputs: int, outputs: int, config: StudentConfig, *, rngs: nnx.Rngs):
        sizes = [inputs] + [config.hidden] * (config.layers - 1)
        self.layers = nnx.List([Layer(size, config, rngs=rngs) for size in sizes])
        self.head_map = nnx.Linear(config.hidden, config.head, rngs=rngs)
        self.out_map = nnx.Linear(
            config.head, outputs, kernel_init=nnx.initializers.zeros, rngs=rngs
        )

    def start(self) -> Memory:
        """Return the empty memory of one sequence."""
        return tuple(layer.start() for layer in self.layers)

    def step(self, memory: Memory, x: jax.Array) -> tuple[Memory, jax.Array]:
        """Advance by one step: features `[F]` to outputs."""
        after = []
        for layer, m in zip(self.layers, memory, strict=True):
            m, x = layer.update(m, layer.x_map(x))
            after.append(m)
        return tuple(after), self.head(x)

    def sequence(self, memory: Memory, xs: jax.Array) -> tuple[Memory, jax.Array]:
        """Advance over `[T, ..., F]`; equal to `step` repeated."""
        after = []
        for layer, m in zip(self.layers, memory, strict=True):
            m, xs = jax.lax.scan(layer.update, m, layer.x_map(xs))
            after.append(m)
        return tuple(after), self.head(xs)

    def head(self, h: jax.Array) -> jax.Array:
        """Map the last layer's output to the network's outputs."""
        return self.out_map(jnp.tanh(self.head_map(h)))


def _chrono(key: jax.Array, config: StudentConfig) -> jax.Array:
    """Forget biases log U(1, longest memory), input biases their negative."""
    memory = jax.random.uniform(key, (config.hidden,), minval=1.0, maxval=config.chrono_events)
    forget = jnp.log(memory)
    zero = jnp.zeros_like(forget)
    return jnp.concatenate([-forget, forget, zero, zero])


def make_core(
    inputs: int, outputs: int, config: StudentConfig, *, seed: int
) -> tuple[nnx.GraphDef, Any]:
    """Return the network's structure and its first parameters."""
    graph, params = nnx.split(Core(inputs, outputs, config, rngs=nnx.Rngs(seed)))
    return graph, params


def core(graph: nnx.GraphDef, params: Any) -> Core:
    """Put structure and parameters together again, inside a pure function."""
    return nnx.merge(graph, params)
