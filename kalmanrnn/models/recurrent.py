"""The recurrent core: optional convolutions, stacked recurrent layers, a head; and their start.

The only importer of flax. The input projection is separate from the recurrent one, so that a
sequence's projections are one matrix product outside the scan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from kalmanrnn.core.config import NetworkConfig, StudentConfig

HiddenState = tuple[tuple[jax.Array, ...], ...]
GATES = {"lstm": 4, "gru": 3, "elman": 1}


class Layer(nnx.Module):
    """One recurrent layer: `x_map` projects the input, `h_map` the last output."""

    def __init__(self, inputs: int, config: NetworkConfig, *, rngs: nnx.Rngs):
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

    def initial_state(self) -> tuple[jax.Array, ...]:
        """Return a hidden state of zeros."""
        zero = jnp.zeros(self.hidden)
        return (zero, zero) if self.cell == "lstm" else (zero,)

    def update(
        self, state: tuple[jax.Array, ...], projected: jax.Array
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Advance by one step, given the input's projection."""
        recurrent = self.h_map(state[0])
        if self.cell == "lstm":
            i, f, g, o = jnp.split(projected + recurrent, 4, axis=-1)
            c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h
        if self.cell == "gru":
            (r_x, z_x, n_x), (r_h, z_h, n_h) = (
                jnp.split(a, 3, axis=-1) for a in (projected, recurrent)
            )
            z = jax.nn.sigmoid(z_x + z_h)
            h = (1 - z) * jnp.tanh(n_x + jax.nn.sigmoid(r_x + r_h) * n_h) + z * state[0]
            return (h,), h
        h = jnp.tanh(projected + recurrent)
        return (h,), h


class Core(nnx.Module):
    """Strided convolutions (if any), stacked recurrent layers, a small head.

    Convolutions and backward layers need the whole sequence: such a core has no `step`. With
    `recurrent_output` there is no head: the last recurrent layer's units are the outputs.
    """

    def __init__(self, inputs: int, outputs: int, config: NetworkConfig, *, rngs: nnx.Rngs):
        self.skip, self.bidirectional = config.skip, config.bidirectional
        convolutions = []
        for channels, width, stride in config.conv:
            convolutions.append(
                nnx.Conv(inputs, channels, (width,), stride, padding="VALID", rngs=rngs)
            )
            inputs = channels
        if convolutions:
            self.convolutions = nnx.List(convolutions)
        directions = 1 + config.bidirectional
        layers, backward, size = [], [], inputs
        for _ in range(config.layers):
            layers.append(Layer(size, config, rngs=rngs))
            if config.bidirectional:
                backward.append(Layer(size, config, rngs=rngs))
            size = directions * config.hidden + inputs * config.skip
        self.recurrent_output = config.recurrent_output
        if config.recurrent_output:
            layers.append(Layer(size, replace(config, hidden=outputs), rngs=rngs))
        self.layers = nnx.List(layers)
        if backward:
            self.backward = nnx.List(backward)
        if config.recurrent_output:
            return
        read = directions * config.hidden * (config.layers if config.skip else 1)
        if config.head:
            self.head_map = nnx.Linear(read, config.head, rngs=rngs)
        kernel = (
            nnx.initializers.zeros if config.zero_init_output else nnx.initializers.lecun_normal()
        )
        self.out_map = nnx.Linear(config.head or read, outputs, kernel_init=kernel, rngs=rngs)

    def initial_state(self) -> HiddenState:
        """Return one sequence's hidden state of zeros; a bidirectional core has none."""
        return () if self.bidirectional else tuple(layer.initial_state() for layer in self.layers)

    def step(self, state: HiddenState, x: jax.Array) -> tuple[HiddenState, jax.Array]:
        """Advance by one step: features `[F]` to outputs."""
        assert not self.bidirectional
        assert not hasattr(self, "convolutions")
        first, after, seen = x, [], []
        for layer, m in zip(self.layers, state, strict=True):
            m, x = layer.update(m, layer.x_map(x))
            after.append(m)
            seen.append(x)
            x = jnp.concatenate([x, first], axis=-1) if self.skip else x
        return tuple(after), self.head(jnp.concatenate(seen, axis=-1) if self.skip else seen[-1])

    def sequence(self, state: HiddenState, xs: jax.Array) -> tuple[HiddenState, jax.Array]:
        """Advance over `[T, ..., F]`; equal to repeated `step`."""
        state, seen = self.run_layers(state, xs)
        return state, self.head(seen)

    def run_layers(self, state: HiddenState, xs: jax.Array) -> tuple[HiddenState, jax.Array]:
        """Run everything but the head over `[T, ..., F]`; return the head's input at each step.

        Strides leave fewer steps than T. Backward layers run from the last step to the first.
        """
        xs = self.convolve(xs)
        if self.bidirectional:
            empty = tuple(layer.initial_state() for layer in self.layers)
            state = jax.tree.map(lambda a: jnp.broadcast_to(a, (*xs.shape[1:-1], *a.shape)), empty)
        first, after, seen = xs, [], []
        for at, (layer, m) in enumerate(zip(self.layers, state, strict=True)):
            end, hs = jax.lax.scan(layer.update, m, layer.x_map(xs))
            if self.bidirectional:
                back = self.backward[at]
                _, other = jax.lax.scan(back.update, m, back.x_map(xs), reverse=True)
                hs = jnp.concatenate([hs, other], axis=-1)
            after.append(end)
            seen.append(hs)
            xs = jnp.concatenate([hs, first], axis=-1) if self.skip else hs
        after = () if self.bidirectional else tuple(after)
        return after, jnp.concatenate(seen, axis=-1) if self.skip else seen[-1]

    def convolve(self, xs: jax.Array) -> jax.Array:
        """Run the strided convolutions, if any, over `[T, B, F]`."""
        if not hasattr(self, "convolutions"):
            return xs
        xs = jnp.swapaxes(xs, 0, 1)
        for convolution in self.convolutions:
            xs = jax.nn.gelu(convolution(xs))
        return jnp.swapaxes(xs, 0, 1)

    def summary(self, seen: jax.Array) -> jax.Array:
        """Return the head's input, from `run_layers`, that has seen the whole sequence."""
        if not self.bidirectional:
            return seen[-1]
        parts = seen.reshape(*seen.shape[:-1], -1, 2, self.layers[0].hidden)
        ends = jnp.stack([parts[-1, ..., 0, :], parts[0, ..., 1, :]], axis=-2)
        return ends.reshape(seen.shape[1:])

    def head(self, h: jax.Array) -> jax.Array:
        """Map the recurrent layers' output to the network's outputs."""
        if self.recurrent_output:
            return h
        if hasattr(self, "head_map"):
            h = jnp.tanh(self.head_map(h))
        return self.out_map(h)


def _chrono(key: jax.Array, config: NetworkConfig) -> jax.Array:
    """Forget biases log U(1, longest memory), input biases their negative; or forget biases 1."""
    zero = jnp.zeros(config.hidden)
    if config.chrono_steps <= 1:
        return jnp.concatenate([zero, zero + 1, zero, zero])
    memory = jax.random.uniform(key, (config.hidden,), minval=1.0, maxval=config.chrono_steps)
    forget = jnp.log(memory)
    return jnp.concatenate([-forget, forget, zero, zero])


def network_config(config: StudentConfig) -> NetworkConfig:
    """Return a student's network as the settings of any network."""
    return NetworkConfig(
        cell=config.cell,
        hidden=config.hidden,
        layers=config.layers,
        head=config.head,
        chrono_steps=config.chrono_events,
        zero_init_output=True,
    )


def make_core(
    inputs: int, outputs: int, config: NetworkConfig, *, seed: int
) -> tuple[nnx.GraphDef, Any]:
    """Return the network's structure and its initial parameters."""
    graph, params = nnx.split(Core(inputs, outputs, config, rngs=nnx.Rngs(seed)))
    return graph, params


def merge(graph: nnx.GraphDef, params: Any) -> Core:
    """Merge structure and parameters into a network, inside a pure function."""
    return nnx.merge(graph, params)
