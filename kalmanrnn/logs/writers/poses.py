"""Position, attitude, velocity and their covariance in the states of a scenario; numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.scenarios.scenario import Scenario

HEADINGS = ("heading", "yaw")


class Poses(NamedTuple):
    """Poses of a robot in world axes east, north, up.

    position: `[n, 3]` [m]. quaternion: `[n, 4]` x, y, z, w, body to world. velocity: `[n, 3]`
    [m/s], or None without such a block.
    """

    position: np.ndarray
    quaternion: np.ndarray
    velocity: np.ndarray | None


def pose_from_state(scenario: Scenario, mean: np.ndarray) -> Poses:
    """Find position, attitude and velocity in states `[n, X]` by the names of their blocks.

    A planar position has height 0, a heading turns about up, and a scenario with neither
    attitude nor heading never turns. UserError if there is no position.
    """
    space = scenario.space
    kinds = {b.name: b.kind for b in space.blocks}
    vectors = {b.name for b in space.blocks if b.kind == "vector" and b.size in (2, 3)}
    if "position" not in vectors:
        raise UserError(
            f"{scenario.name} has no position to write",
            why="that takes a vector block `position` of size 2 or 3; its blocks are "
            f"{', '.join(kinds)}",
            cure="write a table instead: --out estimates.csv",
        )
    quaternion = np.tile([0.0, 0.0, 0.0, 1.0], (len(mean), 1))
    heading = next((name for name in HEADINGS if kinds.get(name) == "angle"), None)
    if kinds.get("attitude") == "rotation":
        quaternion = np.asarray(mean[:, space.state_slice("attitude")], float)
    elif heading:
        half = 0.5 * np.asarray(mean[:, space.state_slice(heading)][:, 0], float)
        quaternion[:, 2], quaternion[:, 3] = np.sin(half), np.cos(half)
    velocity = None
    if "velocity" in vectors:
        velocity = _to_3d(mean[:, space.state_slice("velocity")])
    return Poses(_to_3d(mean[:, space.state_slice("position")]), quaternion, velocity)


def pose_covariance(scenario: Scenario, quaternion: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Return `[n, 6, 6]` of x, y, z and turns about the world's axes, 0 where unknown."""
    space, n = scenario.space, len(cov)
    found = np.zeros((n, 6, cov.shape[-1]))
    for b in space.blocks:
        s = space.tangent_slice(b.name)
        if b.name == "position":
            found[:, range(b.size), range(s.start, s.stop)] = 1.0
        elif b.name == "attitude" and b.kind == "rotation":
            found[:, 3:, s] = rotation_matrices(quaternion) if b.side == "body" else np.eye(3)
        elif b.name in HEADINGS and b.kind == "angle":
            found[:, 5, s.start] = 1.0
    return found @ cov @ found.transpose(0, 2, 1)


def rotation_matrices(quaternion: np.ndarray) -> np.ndarray:
    """Return `[n, 3, 3]` of unit quaternions `[n, 4]` x, y, z, w; NaN stays, where scipy raises."""
    x, y, z, w = np.asarray(quaternion, float).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _to_3d(vector: np.ndarray) -> np.ndarray:
    """Return `[n, 3]` float64 of `[n, 2]` or `[n, 3]`."""
    vector = np.asarray(vector, float)
    return np.pad(vector, ((0, 0), (0, 3 - vector.shape[1])))
