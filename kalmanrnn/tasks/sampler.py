"""Sequences of a task by number: each follows from a seed, a stream and an index alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.tasks.task import Sample, SequenceTask

TRAINING, VALIDATION, TEST, PROBES = range(4)


@lru_cache(maxsize=64)
def make_sampler(sample: Callable, steps: int) -> Callable[[jax.Array, Any], Sample]:
    """Return the jitted sampler of a batch: (key, indices `[B]`) -> Sample, `[B]` in front."""

    @jax.jit
    def batch(key: jax.Array, indices: jax.Array) -> Sample:
        keys = jax.vmap(partial(jax.random.fold_in, key))(indices)
        return jax.vmap(lambda k: sample(k, steps))(keys)

    return batch


def stream_key(seed: int, stream: int) -> jax.Array:
    """Return the key that all sequences of a stream come from."""
    return jax.random.fold_in(jax.random.key(seed), stream)


def sample_sequences(
    task: SequenceTask, seed: int, stream: int, count: int, first: int = 0
) -> Sample:
    """Draw sequences of equal length; numpy, `[count]` in front.

    In batches of the size that training draws: a robot's drives take seconds to compile.
    """
    sampler, key, size = (
        make_sampler(task.sample, task.steps),
        stream_key(seed, stream),
        task.budget.batch,
    )
    parts = [sampler(key, jnp.arange(at, at + size)) for at in range(first, first + count, size)]
    return jax.tree.map(lambda *a: np.concatenate(a)[:count], *parts)


def sample_lengths(task: SequenceTask, seed: int, stream: int, count: int) -> np.ndarray:
    """Return how long each of a stream's first `count` sequences is, `[count]`."""
    if task.lengths is None:
        return np.full(count, task.steps)
    return np.asarray(task.lengths(random_stream(seed, Stream.TASK_LENGTHS, stream), count))
