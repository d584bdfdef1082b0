"""Summarise and check a GPS's fixes; pure functions, numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.logs.topics import GpsTopic, times
from kalmanrnn.logs.calibration.stationary import longest_run

EARTH_M = 6_371_000.0
REST_SPEED_M_S = 0.1
MIN_REST_S = 5.0
# Some fixes repeat by chance or at rest, but not a third of them.
REPEATED = 0.3
# Faster motion between two fixes is a jump.
JUMP_M_S = 100.0


class GpsSummary(NamedTuple):
    """Figures on a GPS topic.

    fixed: share of messages with a fix. status: kinds and counts. travelled_m: size of the box
    around the fixes. standing_s: the longest time at rest, NaN if unknown; spread_m:
    standard deviation there, horizontal (root mean square of the two) and vertical. sigma_m: the
    median that the receiver states, horizontal and vertical. repeats: share of fixes equal to
    the one before; distinct_hz: rate of those that differ.
    """

    topic: str
    fixed: float
    status: dict[str, int]
    travelled_m: float
    standing_s: float
    spread_m: tuple[float, float]
    sigma_m: tuple[float, float]
    repeats: float
    distinct_hz: float


def to_enu(geodetic: np.ndarray) -> np.ndarray:
    """Return `[n, 3]` east, north, up [m] from the median; on a sphere, for figures only."""
    middle = np.median(geodetic, axis=0) if len(geodetic) else np.zeros(3)
    d = geodetic - middle
    d[:, 1] = (d[:, 1] + 180) % 360 - 180
    north, east = EARTH_M * np.radians(d[:, 0]), EARTH_M * np.radians(d[:, 1])
    return np.stack([east * np.cos(np.radians(middle[0])), north, d[:, 2]], axis=-1)


def summarise_gps(gps: GpsTopic, speed_t: np.ndarray, speed: np.ndarray) -> GpsSummary:
    """Summarise a GPS; the robot's speed [m/s] shows when it is at rest (empty if unknown)."""
    t, good = times(gps.readings), gps.fixed
    sigma = np.full(2, np.nan)
    if gps.sigma_m is not None and np.isfinite(gps.sigma_m[good]).any():
        sigma = np.nanmedian(gps.sigma_m[good], axis=0)
    enu = to_enu(gps.geodetic[good]) if good.any() else np.zeros((0, 3))
    seconds, spread = _at_rest(t[good], enu, speed_t, speed)
    same = np.zeros(len(enu), bool)
    if len(enu) > 1:
        same[1:] = (gps.geodetic[good][1:] == gps.geodetic[good][:-1]).all(axis=1)
    changes = np.diff(t[good][~same])
    changes = changes[changes > 0]
    return GpsSummary(
        topic=gps.readings.topic.name,
        fixed=float(good.mean()),
        status=gps.status,
        travelled_m=float(np.linalg.norm(np.ptp(enu[:, :2], axis=0))) if len(enu) else np.nan,
        standing_s=seconds,
        spread_m=spread,
        sigma_m=(float(sigma[0]), float(sigma[1])),
        repeats=float(same.mean()) if len(same) else 0.0,
        distinct_hz=float(1 / np.median(changes)) if len(changes) else np.nan,
    )


def check_gps(gps: GpsTopic, facts: GpsSummary) -> list[Finding]:
    """Check fixes: none, out of range, zero, swapped, jumping, repeated; and their covariance."""
    name = facts.topic
    where = _check_range(name, gps.geodetic)
    found = [where] if where else []
    if facts.fixed < 0.99 and not where:
        what = f"{'no message has' if not facts.fixed else 'not every message has'} a fix"
        kinds = ", ".join(f"{n} {s}" for s, n in facts.status.items())
        evidence = f"{100 * facts.fixed:.1f} % do" + (f" ({kinds})" if kinds else "")
        level = "note" if facts.fixed > 0.5 else "error"
        cure = "import drops the others" if facts.fixed else "record under open sky"
        found.append(Finding(level, name, what, evidence, cure))
    if facts.repeats > REPEATED:
        what = "repeats the same fix"
        evidence = (
            f"{100 * facts.repeats:.0f} % of the fixes equal the one before; "
            f"new ones come at {facts.distinct_hz:.3g} Hz"
        )
        moved = facts.travelled_m > 1.0
        line = f"gps: {{period_s: {1 / facts.distinct_hz:.3g}}}" if moved else ""
        found.append(Finding("error" if moved else "note", name, what, evidence, command=line))
    if not where:
        found += _check_jumps(name, gps)
    return found + _check_sigma(facts)


def _check_range(name: str, geodetic: np.ndarray) -> Finding | None:
    latitude, longitude = geodetic[:, 0], geodetic[:, 1]
    zero = float(((latitude == 0) & (longitude == 0)).mean())
    if zero > 0.5:
        what = "latitude and longitude are zero"
        evidence = f"in {100 * zero:.0f} % of its messages"
        return Finding("error", name, what, evidence, "use another receiver", "gps: {topic: ...}")
    known = np.isfinite(latitude) & np.isfinite(longitude)
    if (np.abs(latitude[known]) > 90).any():
        evidence = (
            f"latitude reaches {np.abs(latitude[known]).max():.4f} deg, "
            f"longitude {np.abs(longitude[known]).max():.4f}"
        )
        if (np.abs(longitude[known]) <= 90).all():
            what = "latitude and longitude look swapped"
            cure = "map them the other way round: latitude and longitude are swapped"
            line = "gps: {latitude: ..., longitude: ...}"
            return Finding("error", name, what, evidence, cure, line)
        what = "latitude and longitude are not in degrees"
        return Finding("error", name, what, evidence, "log decimal degrees")
    return None


def _check_jumps(name: str, gps: GpsTopic) -> list[Finding]:
    t, enu = times(gps.readings)[gps.fixed], to_enu(gps.geodetic[gps.fixed])
    if len(t) < 3:
        return []
    steps = np.diff(t)
    ahead = steps > 0
    speed = np.linalg.norm(np.diff(enu[:, :2], axis=0), axis=1)[ahead] / steps[ahead]
    jumps = int((speed > JUMP_M_S).sum())
    if not jumps:
        return []
    evidence = f"{jumps} steps faster than {JUMP_M_S:g} m/s, the fastest {speed.max():.3g} m/s"
    line = "window: {start_s: ..., end_s: ...}"
    return [Finding("error", name, "fixes jump", evidence, command=line)]


def _check_sigma(facts: GpsSummary) -> list[Finding]:
    """Check the stated covariance, against the spread at rest if there is one."""
    stated, name = facts.sigma_m[0], facts.topic
    if not np.isfinite(stated):
        what = "states no covariance"
        return [Finding("note", name, what, "it is missing, unknown or zero")]
    if facts.standing_s >= MIN_REST_S and facts.spread_m[0] > 3 * stated:
        what = "is worse than it states"
        evidence = f"at rest it spreads {facts.spread_m[0]:.2f} m and states {stated:.2f} m"
        return [Finding("note", name, what, evidence)]
    return []


def _at_rest(
    t: np.ndarray, enu: np.ndarray, speed_t: np.ndarray, speed: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """Return the longest time at rest, and the fixes' spread in it."""
    good = np.isfinite(speed) & np.isfinite(speed_t)
    if len(t) < 3 or good.sum() < 3:
        return np.nan, (np.nan, np.nan)
    order = np.argsort(speed_t[good], kind="stable")
    speed_t, speed = speed_t[good][order], speed[good][order]
    first, last = longest_run(np.abs(speed) < REST_SPEED_M_S)
    if last - first < 2:
        return 0.0, (np.nan, np.nan)
    inside = (t >= speed_t[first]) & (t <= speed_t[last - 1])
    seconds = float(speed_t[last - 1] - speed_t[first])
    if seconds < MIN_REST_S or inside.sum() < 5:
        return seconds, (np.nan, np.nan)
    std = enu[inside].std(axis=0)
    return seconds, (float(np.sqrt((std[:2] ** 2).mean())), float(std[2]))
