"""Position fixes of a log, and the velocity between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.logs.recording.recording import Recording
from kalmanrnn.logs.recording.time_alignment import interpolate
from kalmanrnn.scenarios.scenario import Scenario

VELOCITY_WINDOW_S = 2.0


class PositionFixes(NamedTuple):
    """Readings of the sensor that observes a scenario's origin block.

    t: `[n]` s. position: `[n, p]` m. velocity: `[n, 2]` east, north [m/s]. derived: whether the
    velocity is differentiated from the positions.
    """

    t: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    derived: bool


def find_fixes(scenario: Scenario, recording: Recording) -> PositionFixes | None:
    """Collect the fixes; None if no sensor in the log observes the scenario's origin."""
    for sensor in scenario.sensors:
        found = recording.columns([c.name for c in sensor.channels])
        if not scenario.origin or sensor.observes != scenario.origin or found is None:
            continue
        stream, columns = found
        position = stream.values[:, columns]
        moving = recording.columns(["gps_velocity_east", "gps_velocity_north"])
        if moving is None:
            velocity = differentiate_positions(stream.t, position)
        else:
            velocity = interpolate(stream.t, moving[0].t, moving[0].values[:, moving[1]])
        return PositionFixes(stream.t, position, velocity, moving is None)
    return None


def differentiate_positions(t: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return `[n, 2]` east, north: the slope of a parabola over `VELOCITY_WINDOW_S` either side."""
    half = max(VELOCITY_WINDOW_S, 2.5 * float(np.median(np.diff(t))) if len(t) > 1 else 0.0)
    velocity = np.zeros((len(t), 2))
    first = np.searchsorted(t, t - half)
    last = np.searchsorted(t, t + half, side="right")
    for i, now in enumerate(t):
        near = slice(first[i], last[i])
        # A gap may leave too few for a parabola, or only the fix itself.
        degree = min(2, last[i] - first[i] - 1)
        if degree:
            velocity[i] = np.polyfit(t[near] - now, position[near, :2], degree)[-2]
    return velocity
