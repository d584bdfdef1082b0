"""One jitted update of a student, in either phase of its training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from kalmanrnn.core.config import TrainConfig
from kalmanrnn.models.recurrent import merge
from kalmanrnn.models.student import Carry, Normaliser, Student, init, initial_carry
from kalmanrnn.training.losses import RolloutBatch, distil_loss, rollout_loss
from kalmanrnn.training.optimizer import TrainState, apply_gradients, phase_optimizer
from kalmanrnn.training.phases import Phase


def init_state(
    student: Student,
    config: TrainConfig,
    phase: Phase,
    params: Any,
    before: TrainState | None = None,
) -> TrainState:
    """Return the state at a phase's first step; counts go on from the phase before."""
    zero = jnp.zeros((), jnp.int32)
    counts = (before.skipped, before.resets) if before else (zero, zero)
    memory: Any = merge(student.graph, params).initial_state()
    if phase.name == "rollout":
        x = jnp.zeros(student.scenario.space.state_dim)
        memory = initial_carry(student.scenario, x, memory)
    memory = jax.tree.map(lambda a: jnp.broadcast_to(a, (phase.batch, *a.shape)), memory)
    return TrainState(params, phase_optimizer(config, phase).init(params), memory, *counts)


def make_update(
    student: Student,
    norm: Normaliser,
    config: TrainConfig,
    phase: Phase,
    *,
    by_correction: bool = False,
) -> Callable:
    """Return the jitted update: (state, set, drives `[B]`, first event, fresh) -> (state, loss).

    by_correction: distil the teacher's corrections, because its gains are not known.
    """
    transform = phase_optimizer(config, phase)
    distil = phase.name == "distil"
    loss_of = partial(distil_loss, by_correction=by_correction) if distil else rollout_loss
    feeds_back = student.config.student in ("gain", "residual", "delta")

    def select(a: jax.Array, start: jax.Array, drives: jax.Array) -> jax.Array:
        a = jax.lax.dynamic_slice_in_dim(a, start, phase.window, axis=1)
        return jnp.swapaxes(a[drives], 0, 1)

    @jax.jit
    def update(state: TrainState, data: Any, drives: jax.Array, start: jax.Array, fresh: jax.Array):
        first, resets = state.memory, state.resets
        if distil:
            window = jax.tree.map(lambda a: select(a, start, drives), data)
            empty = jax.tree.map(jnp.zeros_like, first)
        else:
            belief = jax.tree.map(lambda a: a[drives], data.belief)
            window = jax.tree.map(lambda a: select(a, start, drives), data._replace(belief=None))
            empty = jax.vmap(partial(init, student, state.params, norm))(belief)
        first = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), empty, first)
        if not distil and feeds_back:
            first, count = reset_diverged(student, config, first, window)
            resets = resets + count

        def objective(params: Any) -> tuple[jax.Array, Any]:
            return loss_of(student, norm, params, first, window)

        return apply_gradients(transform, state._replace(resets=resets), objective)

    return update


def reset_diverged(
    student: Student, config: TrainConfig, carry: Carry, window: RolloutBatch
) -> tuple[Carry, jax.Array]:
    """Put drives that have diverged at a window's start back to the teacher's state; count them."""
    difference = jax.vmap(student.scenario.space.difference)
    error = jnp.abs(difference(carry.x, window.reset_state[0])) / window.teacher_std[0]
    diverged = ~(jnp.max(error, axis=-1) < config.reset_sigma)
    x = jnp.where(diverged[:, None], window.reset_state[0], carry.x)
    carry = carry._replace(x=x)

    def clean(a: jax.Array) -> jax.Array:
        bad = diverged.reshape(-1, *[1] * (a.ndim - 1)) & ~jnp.isfinite(a)
        return jnp.where(bad, 0.0, a)

    return jax.tree.map(clean, carry), jnp.sum(diverged)
