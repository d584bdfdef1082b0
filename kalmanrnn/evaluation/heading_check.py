"""Compare headings with the course over ground from a log's fixes, with or without a truth."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from kalmanrnn.evaluation.estimates import Estimates
from kalmanrnn.logs.binding.position_fixes import PositionFixes
from kalmanrnn.logs.recording.time_alignment import interpolate
from kalmanrnn.logs.writers.poses import HEADINGS, pose_from_state
from kalmanrnn.scenarios.scenario import Scenario

MIN_COURSE_M_S = 0.5
LOST_DEG = 30.0
MIN_SAMPLES = 20


def heading_errors(
    scenario: Scenario, fixes: PositionFixes | None, t: np.ndarray, estimates: dict[str, Estimates]
) -> dict[str, float]:
    """Return each estimator's median angle between heading and course [deg], in a log's drive.

    t: `[E]` on the fixes' clock. Only where the robot moves; empty for scenarios without a
    heading and for logs that hardly move.
    """
    if fixes is None or not _has_heading(scenario):
        return {}
    velocity = interpolate(t, fixes.t, fixes.velocity)
    moving = np.linalg.norm(velocity, axis=1) > MIN_COURSE_M_S
    if moving.sum() < MIN_SAMPLES:
        return {}
    course = np.arctan2(velocity[:, 1], velocity[:, 0])
    found = {}
    for name, estimate in estimates.items():
        mean = estimate.mean[0]
        if estimate.blocks is None and np.isfinite(mean).all() and name != "dead_reckoning":
            ahead = Rotation.from_quat(pose_from_state(scenario, mean).quaternion).apply(
                [1.0, 0.0, 0.0]
            )
            off = np.arctan2(ahead[:, 1], ahead[:, 0]) - course
            off = np.abs((off + np.pi) % (2 * np.pi) - np.pi)
            found[name] = float(np.degrees(np.median(off[moving])))
    return found


def heading_note(found: dict[str, float], label: dict[str, str]) -> list[str]:
    """Return it as a sentence, with the causes of a large angle; empty if there is nothing."""
    if not found:
        return []
    listed = ", ".join(f"{label.get(name, name)} {angle:.0f} deg" for name, angle in found.items())
    note = f"heading minus GPS course while moving (median): {listed}"
    if max(found.values()) > LOST_DEG:
        note += (
            f". Above {LOST_DEG:g} deg an estimator is lost in heading and its other estimates are "
            "unreliable; or the robot moves sideways or backwards, or the map's axes are wrong. "
            "Filters are lost if the scenario's noise is not this IMU's"
        )
    return [note]


def _has_heading(scenario: Scenario) -> bool:
    names = {b.name for b in scenario.space.blocks}
    return scenario.origin == "position" and bool(names & {"attitude", *HEADINGS})
