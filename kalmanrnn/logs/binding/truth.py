"""A recording's reference as truth states at a drive's events."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.logs.recording.recording import Stream
from kalmanrnn.logs.recording.time_alignment import interpolate

MAX_GAP_S = 1.0


def truth_at(space: StateSpace, reference: Stream, t: np.ndarray) -> np.ndarray | None:
    """Return states `[E, X]` at times t; NaN where the reference is silent.

    It is silent on blocks without channels, before its first and after its last reading, and
    inside gaps longer than `MAX_GAP_S`. None if it is silent on everything.
    """
    states = np.full((len(t), space.state_dim), np.nan)
    known = _covered(reference.t, t)
    for block in space.blocks:
        names = [f"{block.name}_{i}" for i in range(block.state_size)]
        if known.any() and all(name in reference.channels for name in names):
            columns = [reference.channels.index(name) for name in names]
            part = _block_at(block, reference.t, reference.values[:, columns], t[known])
            states[known, space.state_slice(block.name)] = part
    return states if np.isfinite(states).any() else None


def _block_at(block: Block, at: np.ndarray, values: np.ndarray, t: np.ndarray) -> np.ndarray:
    if block.kind == "rotation":
        return Slerp(at, Rotation.from_quat(values))(t).as_quat()
    if block.kind == "angle":
        turned = interpolate(t, at, np.unwrap(values, axis=0))
        return (turned + np.pi) % (2 * np.pi) - np.pi
    return interpolate(t, at, values)


def _covered(at: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Mark the times between two readings that are not too far apart."""
    if len(at) < 2:
        return np.zeros(len(t), bool)
    after = np.clip(np.searchsorted(at, t), 1, len(at) - 1)
    near = at[after] - at[after - 1] <= MAX_GAP_S
    return (t >= at[0]) & (t <= at[-1]) & near
