"""The network to diagnose: a user's step, or our recurrent core where there is none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.models.recurrent import make_core, merge


class Network(NamedTuple):
    """A network as a step of one sequence.

    step: (params, carry, x `[F]`) -> (carry, output `[D]`). carry: at a sequence's start.
    params: a pytree; None where the network cannot be trained.
    """

    step: Callable[[Any, Any, jax.Array], tuple[Any, jax.Array]]
    carry: Any
    params: Any

    @property
    def is_trainable(self) -> bool:
        """Whether there are parameters to train."""
        return self.params is not None


def make_network(inputs: int, outputs: int, config: NetworkConfig, *, seed: int) -> Network:
    """Return our own untrained core as a network."""
    return from_core(*make_core(inputs, outputs, config, seed=seed))


def from_core(graph: Any, params: Any) -> Network:
    """Return our core as a network."""

    def step(params: Any, memory: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        return merge(graph, params).step(memory, x)

    return Network(step, merge(graph, params).initial_state(), params)


def from_user(step: Callable, carry: Any, params: Any, features: int, outputs: int) -> Network:
    """Wrap a user's step, with or without parameters; UserError where it does not run."""
    if params is None:
        network = Network(lambda _, carry, x: step(carry, x), carry, None)
    else:
        network = Network(step, carry, params)
    network = network._replace(carry=jax.tree.map(jnp.asarray, carry))
    wanted = "step(carry, x)" if params is None else "step(params, carry, x)"
    x = jnp.zeros(features, jnp.float32)
    try:
        after, output = jax.eval_shape(network.step, params, network.carry, x)
    except Exception as problem:
        raise UserError(
            f"the network's step does not run on x [{features}]",
            why=f"{type(problem).__name__}: {str(problem).strip().splitlines()[0][:160]}",
            cure=f"write {wanted} -> (carry, output); yours takes {_signature(step)}",
        ) from problem
    size = int(np.prod(output.shape))
    if size != outputs:
        raise UserError(
            f"the network outputs {size} numbers, the targets have {outputs}",
            why="outputs are compared with targets one by one",
            cure="pass targets [N, T, D] with D the size of the network's output",
        )
    shapes = [jax.tree.map(lambda a: a.shape, tree) for tree in (network.carry, after)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"the carry changes shape from {shapes[0]} to {shapes[1]}",
            why="the carry that a step returns goes into the next step",
            cure="pass a first carry of the shape that step returns",
        )
    return network


def run_sequence(network: Network, params: Any, xs: jax.Array) -> jax.Array:
    """Return the outputs `[T, D]` over one sequence `[T, F]`."""
    first = network.carry

    def one(carry, x):
        after, output = network.step(params, carry, x)
        # Accept a weak type in the first carry.
        after = jax.tree.map(lambda a, b: jnp.asarray(a, jnp.asarray(b).dtype), after, first)
        return after, jnp.ravel(output)

    return jax.lax.scan(one, first, xs)[1]


def count_numbers(params: Any) -> int:
    """Count the numbers in parameters or in a carry."""
    return sum(int(np.size(a)) for a in jax.tree.leaves(params))


def _signature(step: Callable) -> str:
    try:
        return str(inspect.signature(step))
    except (TypeError, ValueError):
        return "something else"
