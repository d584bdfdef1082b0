"""Second moments of the inputs of a student's matrices, over drives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.data.local_frame import localise, split_into_ticks
from kalmanrnn.models.recurrent import merge
from kalmanrnn.models.student import Carry, init, make_features, normalise, step
from kalmanrnn.training.trained import TrainedStudent


def input_moments(trained: TrainedStudent, drives: Drive) -> dict[str, np.ndarray]:
    """Roll a student out; return the mean of x x' `[in, in]` over each matrix's inputs, by name."""
    student, params, norm = trained.student, trained.params, trained.norm
    local = localise(student.scenario, drives._replace(truth=None))
    if student.config.every == "tick":
        local = split_into_ticks(local)

    def event(carry: Carry, packet: Packet) -> tuple[Carry, Any]:
        features, _ = make_features(student, norm, carry, packet.z, packet.seen)
        after, _ = step(student, params, norm, carry, packet)
        return after, _rows(trained, normalise(norm, features), carry, after)

    def drive(belief: Belief, packets: Packet) -> Any:
        first = init(student, params, norm, belief)
        return jax.lax.scan(event, first, packets)[1]

    rows = jax.jit(jax.vmap(drive))(local.belief, local.packets)
    return {name: _moments(np.asarray(x)) for name, x in rows.items()}


def _rows(
    trained: TrainedStudent, x: jax.Array, before: Carry, after: Carry
) -> dict[str, jax.Array]:
    """Return one event's inputs by the name of the matrix they go into."""
    found = {}
    for i, (old, new) in enumerate(zip(before.memory, after.memory, strict=True)):
        found |= {f"layers.{i}.x_map.kernel": x, f"layers.{i}.h_map.kernel": old[0]}
        x = new[0]
    head = merge(trained.student.graph, trained.params).head_map
    return found | {"head_map.kernel": x, "out_map.kernel": jnp.tanh(head(x))}


def _moments(x: np.ndarray) -> np.ndarray:
    x = x.reshape(-1, x.shape[-1]).astype(float)
    # Leave out drives on which a bad student diverged.
    x = x[np.isfinite(x).all(axis=1)]
    return x.T @ x / max(len(x), 1)
