"""Where a filter starts on a log: level from gravity, heading and velocity from the GPS."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from kalmanrnn.errors import UserError
from kalmanrnn.logs.gps import Fixes
from kalmanrnn.logs.table import Table
from kalmanrnn.scenario import Scenario
from kalmanrnn.types import Belief

LEVEL_S = 2.0


def first_belief(scenario: Scenario, imu: Table, fixes: Fixes) -> tuple[Belief, str]:
    """Return the belief at the first fix, and a sentence on how it was found.

    The only place that looks ahead: gravity is taken over the first `LEVEL_S` seconds, the
    robot's own acceleration there, from the GPS's velocity, being subtracted.
    """
    start = fixes.t[0]
    east, north = fixes.velocity[0]
    yaw = np.arctan2(north, east)
    force = imu.values[(imu.t >= start) & (imu.t < start + LEVEL_S), 3:].mean(axis=0)
    _check_gravity(imu.name, force)
    force = force - _acceleration(fixes, start)
    roll, pitch = np.arctan2(force[1], force[2]), np.arctan2(-force[0], np.hypot(*force[1:]))
    blocks = {
        # Nose up is a negative turn about the left-pointing y axis.
        "attitude": Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_quat(),
        "velocity": np.array([east, north, 0.0]),
        "position": fixes.position[0],
    }
    mean = scenario.space.identity()
    for name, value in blocks.items():
        mean[scenario.space.state_slice(name)] = value
    note = (
        f"first belief: level from gravity over {LEVEL_S:g} s (roll {np.degrees(roll):.1f} deg, "
        f"nose down {np.degrees(pitch):.1f} deg), heading from the GPS's course at "
        f"{np.hypot(east, north):.1f} m/s, no biases"
    )
    if force[2] < 0.5 * np.linalg.norm(force):
        note += "; this IMU hangs far from level: are the map's axes right?"
    return Belief(mean, np.diag(np.square(scenario.initial_std))), note


def _acceleration(fixes: Fixes, start: float) -> np.ndarray:
    """Return the mean acceleration `[3]` forward, left, up over the first seconds."""
    first = fixes.t < start + LEVEL_S
    if first.sum() < 3:
        return np.zeros(3)
    slope = np.polyfit(fixes.t[first] - start, fixes.velocity[first], 1)[0]
    ahead = fixes.velocity[first].mean(axis=0)
    ahead = ahead / np.linalg.norm(ahead)
    return np.array([slope @ ahead, slope @ [-ahead[1], ahead[0]], 0.0])


def _check_gravity(name: str, force: np.ndarray) -> None:
    size = float(np.linalg.norm(force))
    if not 5 < size < 15:
        raise UserError(
            f"{name}: the accelerometer reads {size:.2f} m/s^2 on average at the start",
            why="it should read about 9.8 m/s^2, gravity's reaction",
            cure="check accel_unit (m/s^2 or g) and the accel columns in the map",
        )
