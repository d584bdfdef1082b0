"""The initial belief on a log.

As the map or the scenario gives it; else level from gravity, position from the first fix,
heading from the GPS's course or, for slow robots, from a search.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from kalmanrnn.core.datatypes import Belief, Drive
from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.binding.initial_heading import MIN_MARGIN, find_heading
from kalmanrnn.logs.binding.position_fixes import VELOCITY_WINDOW_S, PositionFixes
from kalmanrnn.logs.recording.recording import CHANNELS, Recording
from kalmanrnn.scenarios.scenario import Scenario

LEVELLING_S = 2.0
# Standard deviation of an unknown angle, uniform over a turn.
UNKNOWN_ANGLE_STD = np.pi / np.sqrt(3)
MIN_COURSE_M_S = 2.0


class InitialState(NamedTuple):
    """An initial state `[X]`, notes on how it was found, and whether its heading is known."""

    mean: np.ndarray
    notes: list[str]
    heading_known: bool = True


def is_inertial(scenario: Scenario) -> bool:
    """Whether a scenario has only IMU inputs and estimates attitude, velocity and position."""
    names = [channel.name for channel in scenario.inputs]
    blocks = {(b.name, b.tangent_size) for b in scenario.space.blocks}
    needed = {("attitude", 3), ("velocity", 3), ("position", 3)}
    return names == list(CHANNELS["imu"]) and needed <= blocks


def start_time(scenario: Scenario, fixes: PositionFixes | None) -> tuple[float, list[str]]:
    """Return when to start [s]: once the robot is fast enough for its course to be its heading."""
    if fixes is None or not is_inertial(scenario):
        return -np.inf, []
    moving = np.linalg.norm(fixes.velocity, axis=1) >= MIN_COURSE_M_S
    if not moving.any():
        return float(fixes.t[0]), []
    first = int(np.argmax(moving))
    skipped = fixes.t[first] - fixes.t[0]
    note = f"gps: the first {skipped:.1f} s dropped, too slow for a course"
    return float(fixes.t[first]), [note] if first else []


def initial_belief(
    scenario: Scenario, recording: Recording, fixes: PositionFixes | None, drive: Drive
) -> tuple[Belief, list[str]]:
    """Return the belief at a drive's first event, and notes on how it was found.

    The only place that looks ahead. The drive has no batch axis; its own belief is not used.
    """
    given = {name: np.array(values) for name, values in recording.first.items()}
    _check_given(scenario, given)
    first = InitialState(scenario.space.identity(), [])
    if {b.name for b in scenario.space.blocks} - set(given):
        first = _find_state(scenario, fixes, drive, tuple(given))
    mean, notes = first.mean, first.notes
    for name, values in given.items():
        mean[scenario.space.state_slice(name)] = values
    if given:
        notes.append(f"initial belief: {', '.join(given)} from the map")
    std = np.array(scenario.initial_std, float)
    for block in scenario.space.blocks if not first.heading_known else ():
        world_yaw = block.kind == "rotation" and block.side == "world"
        if (block.kind == "angle" or world_yaw) and block.name not in given:
            # The last component of a rotation is the turn about up.
            std[scenario.space.tangent_slice(block.name).stop - 1] += UNKNOWN_ANGLE_STD
    return Belief(mean, np.diag(np.square(std))), notes


def _find_state(
    scenario: Scenario, fixes: PositionFixes | None, drive: Drive, given: tuple[str, ...]
) -> InitialState:
    if scenario.initialise is not None:
        packets = drive.packets
        with jax.enable_x64(True):
            mean = np.array(scenario.initialise(packets.z[0], packets.seen[0]), float)
        return InitialState(mean, ["initial belief: from the first readings, by the scenario"])
    if fixes is None:
        raise UserError(
            f"the initial state of {scenario.name} on this log is unknown",
            why="none of its sensors measures position here, and it has no `initialise`",
            cure="add `first: {block: [numbers]}` to the map, or `initialise` to the scenario",
        )
    if is_inertial(scenario):
        return _level(scenario, fixes, drive)
    mean = scenario.space.identity()
    mean[scenario.space.state_slice(scenario.origin)] = _position(fixes, drive)
    if all(b.kind == "vector" or b.name in given for b in scenario.space.blocks):
        return InitialState(mean, ["initial belief: position from the first fix, all else zero"])
    keep = (scenario.origin, *given)
    found = _search_heading(scenario, mean, keep, drive)
    note = f"initial belief: position from the first fix, {found.notes[0]}"
    return found._replace(notes=[note])


def _level(scenario: Scenario, fixes: PositionFixes, drive: Drive) -> InitialState:
    """Level by gravity over the first seconds, corrected for the robot's own acceleration."""
    packets, start = drive.packets, float(drive.t[0])
    early = (drive.t < start + LEVELLING_S)[:, None] * packets.dt
    force = np.einsum("ek,eku->u", early, packets.u)[3:] / max(float(early.sum()), 1e-9)
    check_gravity(force)
    at = int(np.argmin(np.abs(fixes.t - start)))
    east, north = fixes.velocity[at]
    speed = float(np.hypot(east, north))
    moving = speed >= MIN_COURSE_M_S
    if moving:
        force = force - _gps_acceleration(fixes, start)
    yaw = float(np.arctan2(north, east)) if moving else 0.0
    roll, pitch = np.arctan2(force[1], force[2]), np.arctan2(-force[0], np.hypot(*force[1:]))
    blocks = {
        "attitude": attitude_from_gravity(force, yaw),
        "velocity": np.array([east, north, 0.0]),
        "position": _position(fixes, drive),
    }
    mean = scenario.space.identity()
    for name, value in blocks.items():
        mean[scenario.space.state_slice(name)] = value
    found = InitialState(mean, [f"heading from the GPS's course at {speed:.1f} m/s"])
    if not moving:
        found = _search_heading(scenario, mean, ("velocity", "position"), drive)
    angles = f"roll {np.degrees(roll):.1f} deg, nose down {np.degrees(pitch):.1f} deg"
    level = f"level from gravity over {LEVELLING_S:g} s ({angles})"
    notes = [f"initial belief: {level}, {found.notes[0]}, no biases"]
    if force[2] < 0.5 * np.linalg.norm(force):
        notes[0] += "; the IMU is far from level: check the axes in the map"
    if fixes.derived:
        notes.append(
            f"gps: no velocity; differentiated from positions within {VELOCITY_WINDOW_S:g} s"
        )
    return found._replace(notes=notes)


def attitude_from_gravity(force: np.ndarray, heading_rad: float) -> np.ndarray:
    """Return the attitude x, y, z, w of a body at rest that measures specific force `[3]`."""
    roll, pitch = np.arctan2(force[1], force[2]), np.arctan2(-force[0], np.hypot(*force[1:]))
    # Nose up is a negative turn about the left-pointing y axis.
    return Rotation.from_euler("ZYX", [heading_rad, pitch, roll]).as_quat()


def _search_heading(
    scenario: Scenario, mean: np.ndarray, keep: tuple[str, ...], drive: Drive
) -> InitialState:
    """Return the most likely state with one note, and whether the log determines the heading."""
    if scenario.yaw_symmetry is None:
        raise UserError(
            f"the initial heading of {scenario.name} on this log is unknown",
            why=f"it is slower than {MIN_COURSE_M_S:g} m/s at the start, and without a "
            "`yaw_symmetry` of the scenario no heading can be searched for",
            cure="add `first: {block: [numbers]}` to the map, or `initialise` to the scenario",
        )
    found = find_heading(scenario, mean, keep, drive)
    note = f"heading {np.degrees(found.angle):.0f} deg, the most likely over {found.seconds:.1f} s"
    heading_known = found.margin >= MIN_MARGIN
    if not heading_known:
        note += (
            f", but ambiguous (log likelihood only {found.margin:.1f} above others) and taken as "
            "unknown; if you know it, give it with `first: {...}` in the map"
        )
    return InitialState(found.mean, [note], heading_known)


def _position(fixes: PositionFixes, drive: Drive) -> np.ndarray:
    return fixes.position[int(np.argmin(np.abs(fixes.t - float(drive.t[0]))))]


def _gps_acceleration(fixes: PositionFixes, start: float) -> np.ndarray:
    """Return the mean acceleration `[3]` forward, left, up over the first seconds."""
    first = (fixes.t >= start) & (fixes.t < start + LEVELLING_S)
    if first.sum() < 3:
        return np.zeros(3)
    slope = np.polyfit(fixes.t[first] - start, fixes.velocity[first], 1)[0]
    ahead = fixes.velocity[first].mean(axis=0)
    ahead = ahead / np.linalg.norm(ahead)
    return np.array([slope @ ahead, slope @ [-ahead[1], ahead[0]], 0.0])


def check_gravity(force: np.ndarray) -> None:
    """Raise UserError if a mean accelerometer reading `[3]` is not gravity's reaction."""
    size = float(np.linalg.norm(force))
    if not 5 < size < 15:
        raise UserError(
            f"the accelerometer reads {size:.2f} m/s^2 on average at the start",
            why="it should read about 9.8 m/s^2, gravity's reaction",
            cure="check accel_unit (m/s^2 or g) and the accel columns in the map",
        )


def _check_given(scenario: Scenario, given: dict[str, np.ndarray]) -> None:
    sizes = {b.name: b.state_size for b in scenario.space.blocks}
    for name, values in given.items():
        if sizes.get(name) != values.size:
            raise UserError(
                f"first.{name}: {values.size} numbers",
                why=f"{scenario.name}'s blocks and their sizes are "
                + ", ".join(f"{n} {s}" for n, s in sizes.items()),
                cure="correct `first:` in the map",
            )
