"""The network to look at: somebody's own step, or our recurrent core where there is none."""

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

    step: (params, carry, x `[F]`) -> (carry, output `[D]`). carry: what an empty memory is.
    params: a pytree; None where they are not to be touched, so that nothing can be trained.
    """

    step: Callable[[Any, Any, jax.Array], tuple[Any, jax.Array]]
    carry: Any
    params: Any

    @property
    def learns(self) -> bool:
        """Whether there are parameters to train."""
        return self.params is not None


def own(inputs: int, outputs: int, config: NetworkConfig, *, seed: int) -> Network:
    """Return our core as a network, before its first update."""
    return of_core(*make_core(inputs, outputs, config, seed=seed))


def of_core(graph: Any, params: Any) -> Network:
    """Return a core of ours, as it is put together in `network`, as a network to look at."""

    def step(params: Any, memory: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        return merge(graph, params).step(memory, x)

    return Network(step, merge(graph, params).initial_state(), params)


def somebodys(step: Callable, carry: Any, params: Any, features: int, outputs: int) -> Network:
    """Take a user's step, with parameters or without; UserError where it does not run."""
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
            cure=f"give {wanted} -> (carry, output); yours takes {_takes(step)}",
        ) from problem
    size = int(np.prod(output.shape))
    if size != outputs:
        raise UserError(
            f"the network gives {size} numbers, the targets have {outputs}",
            why="its output is compared with the targets",
            cure="give targets [N, T, D] with D as the network's output",
        )
    shapes = [jax.tree.map(lambda a: a.shape, tree) for tree in (network.carry, after)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"the carry changes its shape from {shapes[0]} to {shapes[1]}",
            why="what a step returns is what the next one takes",
            cure="give a first carry of the shape that step returns",
        )
    return network


def run(network: Network, params: Any, xs: jax.Array) -> jax.Array:
    """Return the outputs `[T, D]` over one sequence `[T, F]`."""
    first = network.carry

    def one(carry, x):
        after, output = network.step(params, carry, x)
        # A weak type in the first carry must not be one error more.
        after = jax.tree.map(lambda a, b: jnp.asarray(a, jnp.asarray(b).dtype), after, first)
        return after, jnp.ravel(output)

    return jax.lax.scan(one, first, xs)[1]


def count(params: Any) -> int:
    """Count the numbers in a network's parameters, or in its carry."""
    return sum(int(np.size(a)) for a in jax.tree.leaves(params))


def _takes(step: Callable) -> str:
    try:
        return str(inspect.signature(step))
    except (TypeError, ValueError):
        return "something else"
