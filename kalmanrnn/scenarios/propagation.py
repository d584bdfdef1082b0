"""Carry a state on over ticks by a process model."""

from __future__ import annotations

from collections.abc import Callable

import jax


def propagate(
    process: Callable[..., jax.Array], x: jax.Array, u: jax.Array, dt: jax.Array
) -> jax.Array:
    """Return the state `[X]` after ticks with inputs `[K, U]` of lengths `[K]` seconds."""
    after, _ = jax.lax.scan(lambda x, tick: (process(x, *tick), None), x, (u, dt))
    return after
