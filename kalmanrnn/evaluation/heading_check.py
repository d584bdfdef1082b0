"""Headings against the course that a log's fixes tell: who is lost, truth or no truth."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from kalmanrnn.evaluation.estimates import Estimates
from kalmanrnn.logs.binding.position_fixes import PositionFixes
from kalmanrnn.logs.recording.time_alignment import interpolate
from kalmanrnn.logs.writers.estimates import HEADINGS, pose_from_state
from kalmanrnn.scenarios.scenario import Scenario

MIN_COURSE_M_S = 0.5
LOST_DEG = 30.0
FEWEST = 20


def heading_errors(
    scenario: Scenario, fixes: PositionFixes | None, t: np.ndarray, tracks: dict[str, Estimates]
) -> dict[str, float]:
    """Return each track's median angle between heading and course [deg], on a log of one drive.

    t: `[E]` on the fixes' clock. Only where the robot moves; nothing comes back for scenarios
    without a heading, and for logs that hardly move.
    """
    if fixes is None or not _has_heading(scenario):
        return {}
    velocity = interpolate(t, fixes.t, fixes.velocity)
    moving = np.linalg.norm(velocity, axis=1) > MIN_COURSE_M_S
    if moving.sum() < FEWEST:
        return {}
    course = np.arctan2(velocity[:, 1], velocity[:, 0])
    found = {}
    for name, track in tracks.items():
        mean = track.mean[0]
        if track.blocks is None and np.isfinite(mean).all() and name != "dead_reckoning":
            ahead = Rotation.from_quat(pose_from_state(scenario, mean).quaternion).apply(
                [1.0, 0.0, 0.0]
            )
            off = np.arctan2(ahead[:, 1], ahead[:, 0]) - course
            off = np.abs((off + np.pi) % (2 * np.pi) - np.pi)
            found[name] = float(np.degrees(np.median(off[moving])))
    return found


def heading_note(found: dict[str, float], label: dict[str, str]) -> list[str]:
    """Say it in a sentence, and what a large angle means."""
    if not found:
        return []
    said = ", ".join(f"{label.get(name, name)} {angle:.0f} deg" for name, angle in found.items())
    note = f"heading against the GPS's course while moving (median): {said}"
    if max(found.values()) > LOST_DEG:
        note += (
            f". More than {LOST_DEG:g} deg: lost in heading, so that nothing else it says is worth "
            "much; or the robot moves sideways or backwards, or the map's axes are wrong. Filters "
            "get lost where the scenario's IMU noise is not this IMU's"
        )
    return [note]


def _has_heading(scenario: Scenario) -> bool:
    names = {b.name for b in scenario.space.blocks}
    return scenario.origin == "position" and bool(names & {"attitude", *HEADINGS})
