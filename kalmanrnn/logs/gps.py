"""A GPS's file as fixes in a local world, and which of them become events."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.errors import UserError
from kalmanrnn.logs import geodesy
from kalmanrnn.logs.align import fill, snap, thin
from kalmanrnn.logs.layout import GpsMap
from kalmanrnn.logs.table import Table, moved, read_table
from kalmanrnn.scenario import Scenario

FEWEST_FIXES = 10
MOVING_M_S = 2.0
DERIVED_S = 2.0


class Fixes(NamedTuple):
    """GPS fixes in a local world.

    t: `[n]` seconds. position: `[n, 3]` east, north, up [m]. velocity: `[n, 2]` east, north.
    """

    t: np.ndarray
    position: np.ndarray
    velocity: np.ndarray


def read_gps(folder: Path, layout: GpsMap) -> tuple[Table, list[str]]:
    """Return latitude, longitude, altitude and, where mapped, speed and course."""
    columns = [layout.latitude, layout.longitude, layout.altitude]
    columns += [layout.speed, layout.course] if layout.speed else []
    table, notes = moved(read_table(folder / layout.file, layout.time, columns), layout.delay_s)
    outside = np.flatnonzero((np.abs(table.values[:, :2]) > [90, 180]).any(axis=1))
    if outside.size:
        latitude, longitude = table.values[outside[0], :2]
        raise UserError(
            f"{table.name}: latitude {latitude:g}, longitude {longitude:g} at fix {outside[0] + 1}",
            why="they must be degrees within 90 and 180",
            cure="check the columns in the map, and that they hold decimal degrees",
        )
    if layout.period_s > 0 and len(table.t) >= FEWEST_FIXES:
        table, note = _snapped(table, layout.period_s)
        notes.append(note)
    return table, notes


def fixes_of(table: Table, span: tuple[float, float]) -> tuple[Fixes, geodesy.Origin, list[str]]:
    """Turn the fixes within a span of time into a local world, from where the robot moves on."""
    inside = (table.t >= span[0]) & (table.t <= span[1])
    t, values = table.t[inside], table.values[inside]
    _check_count(table.name, len(t))
    notes = []
    if values.shape[1] == 5:
        course = np.radians(values[:, 4])
        velocity = values[:, 3:4] * np.stack([np.sin(course), np.cos(course)], axis=-1)
    else:
        near = geodesy.geodetic_to_enu(geodesy.Origin(*values[0, :3]), values[:, :3])
        velocity = velocity_of_positions(t, near)
        notes.append(
            f"{table.name}: no speed and course; taken from positions {DERIVED_S:g} s around"
        )
    first = _first_moving(table.name, velocity)
    if first:
        skipped = t[first] - t[0]
        notes.append(f"{table.name}: the first {skipped:.1f} s left out, too slow for a course")
    _check_count(table.name, len(t) - first)
    origin = geodesy.Origin(*map(float, values[first, :3]))
    notes.append(
        f"world: east, north, up at latitude {origin.latitude:.7f}, longitude "
        f"{origin.longitude:.7f}, altitude {origin.altitude_m:.1f} m, the first used fix"
    )
    position = geodesy.geodetic_to_enu(origin, values[first:, :3])
    return Fixes(t[first:], position, velocity[first:]), origin, notes


def choose_events(
    scenario: Scenario, layout: GpsMap, fixes: Fixes
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Return event times `[E]`, which of them are fixes `[E]`, the fixes used, and why.

    A student has been trained at the scenario's rate: faster fixes are thinned to about that,
    and long gaps get events at which nothing is seen.
    """
    least = layout.min_interval_s
    rate_hz = next(s.rate_hz for s in scenario.sensors if s.name == "gps")
    why = "as the map says"
    if least < 0:
        least, why = 0.75 / rate_hz, f"for {scenario.name} has its GPS at {rate_hz:g} Hz"
    used = thin(fixes.t, least)
    _check_count(layout.file, len(used))
    count = f"{len(used)} of {len(fixes.t)} fixes used"
    notes = [f"{layout.file}: {count}, at least {least:g} s apart, {why}"]
    times, seen = fill(fixes.t[used], 1 / scenario.event_hz)
    if not seen.all():
        notes.append(f"{layout.file}: {(~seen).sum()} events without a fix put into gaps")
    return times, seen, used, notes


def velocity_of_positions(t: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return `[n, 2]` east, north: the slope of a parabola through `DERIVED_S` to each side."""
    half = max(DERIVED_S, 2.5 * float(np.median(np.diff(t))))
    velocity = np.zeros((len(t), 2))
    for i, now in enumerate(t):
        near = np.abs(t - now) <= half
        # A gap may leave too few for a parabola, or none but the fix itself.
        degree = min(2, int(near.sum()) - 1)
        if degree:
            velocity[i] = np.polyfit(t[near] - now, position[near, :2], degree)[-2]
    return velocity


def _snapped(table: Table, period_s: float) -> tuple[Table, str]:
    even, epoch = snap(table.t, period_s)
    jitter = np.abs(table.t - even)
    found = (even[-1] - even[0]) / (epoch[-1] - epoch[0])
    if np.diff(epoch).min() < 1 or abs(found / period_s - 1) > 1e-3:
        raise UserError(
            f"{table.name}: the fixes do not fit an interval of {period_s:g} s",
            why="with gps.period_s every fix must have a place of its own on an even clock",
            cure="correct gps.period_s in the map, or leave it out",
        )
    note = (
        f"{table.name}: times put onto the receiver's even clock of {period_s:g} s, "
        f"at most {1e3 * jitter.max():.0f} ms away"
    )
    return table._replace(t=even), note


def _first_moving(name: str, velocity: np.ndarray) -> int:
    """Return the first fix fast enough for its course to be a heading."""
    speed = np.linalg.norm(velocity, axis=1)
    if not (speed >= MOVING_M_S).any():
        raise UserError(
            f"{name}: the GPS never moves faster than {speed.max():.1f} m/s",
            why=f"the first heading is the GPS's course, no use below {MOVING_M_S:g} m/s",
            cure="use a stretch of the log in which the robot drives",
        )
    return int(np.argmax(speed >= MOVING_M_S))


def _check_count(name: str, count: int) -> None:
    if count < FEWEST_FIXES:
        raise UserError(
            f"{name}: too few fixes, {count} where at least {FEWEST_FIXES} are needed",
            why="only those count that lie within the IMU's and reference's time, after the start",
            cure="use a longer log, or a smaller gps.min_interval_s in the map",
        )
