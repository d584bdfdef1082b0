"""Compare an IMU with other measurements of the robot's motion; numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kalmanrnn.logs.conversion.extrinsics import DEGREES, find_mounting, quiet_specific_force

WINDOW_S = 0.5
# Slower turns say nothing about a gyro's unit [rad/s].
MIN_TURN = 0.03
# Forces also come from slopes and bumps, so agreement is never complete; chance alone reaches
# 1 / sqrt(windows), and three times that once in 10^4.
MIN_AGREEMENT = 0.25
CHANCE = 3.0
MIN_CORRELATION = 0.5


class MountingYaw(NamedTuple):
    """The IMU's rotation about up.

    angle: from the robot's forward to the axes that `find_mounting` chose [rad]. agreement:
    correlation of forces with the robot's accelerations, 0 to 1. windows: the number compared.
    """

    angle: float
    agreement: float
    windows: int

    @property
    def is_reliable(self) -> bool:
        """Whether the angle is near a quarter turn and the agreement is not by chance."""
        off = abs(self.angle - np.pi / 2 * round(self.angle / (np.pi / 2)))
        least = max(MIN_AGREEMENT, CHANCE / np.sqrt(self.windows))
        return self.agreement >= least and off < np.radians(20)

    @property
    def quarter_turns(self) -> np.ndarray:
        """Return the rotation `[3, 3]` of vectors by the nearest quarter turns to the right."""
        x, y = [(1, 0), (0, -1), (-1, 0), (0, 1)][round(self.angle / (np.pi / 2)) % 4]
        return np.array([[x, -y, 0], [y, x, 0], [0, 0, 1]])


class GyroComparison(NamedTuple):
    """A gyro against known turn rates: slope and correlation of the sizes, windows with turns."""

    slope: float
    correlation: float
    windows: int
    source: str

    @property
    def unit(self) -> str:
        """The gyro's unit."""
        return "deg/s" if self.slope > np.sqrt(DEGREES) else "rad/s"


def estimate_mounting_yaw(
    t: np.ndarray, gyro: np.ndarray, accel: np.ndarray, speed_t: np.ndarray, speed: np.ndarray
) -> MountingYaw | None:
    """Compare horizontal forces with the robot's accelerations; None without motion.

    t, gyro [rad/s], accel (in any unit): finite, in order.
    A robot on the ground accelerates by dv/dt forward and v times its turn rate to the left.
    """
    speed_t, speed = finite_in_order(speed_t, speed)
    edges = _window_edges(t, speed_t)
    if len(edges) < 10 or np.ptp(speed) < 0.2:
        return None
    R, _ = find_mounting(quiet_specific_force(gyro, accel))
    middle = 0.5 * (edges[1:] + edges[:-1])
    force, turn = window_means(t, accel @ R.T, edges), window_means(t, gyro @ R.T, edges)[:, 2]
    # Differences over a window, like the force's mean.
    at_edges = np.interp(edges, speed_t, speed)
    expected = np.diff(at_edges) / WINDOW_S + 1j * np.interp(middle, speed_t, speed) * turn
    measured = force[:, 0] + 1j * force[:, 1]
    good = np.isfinite(measured) & np.isfinite(expected)
    measured, expected = measured[good] - np.median(measured[good].real), expected[good]
    measured = measured - 1j * np.median(measured.imag)
    scale = np.sqrt((np.abs(expected) ** 2).sum() * (np.abs(measured) ** 2).sum())
    if not scale > 0:
        return None
    product = (np.conj(expected) * measured).sum()
    return MountingYaw(float(np.angle(product)), float(np.abs(product) / scale), len(measured))


def compare_turn_rates(
    t: np.ndarray, gyro: np.ndarray, rate_t: np.ndarray, rate: np.ndarray, source: str
) -> GyroComparison | None:
    """Compare a gyro with turn rates `[m]` [rad/s] about unknown axes: by size, in windows.

    t, gyro: finite, in order. The gyro may be in any unit; its axes and bias matter little.
    None if the two do not turn together.
    """
    rate_t, rate = finite_in_order(rate_t, np.abs(rate))
    edges = _window_edges(t, rate_t)
    if len(edges) < 10:
        return None
    gyro_rate = np.linalg.norm(window_means(t, gyro - np.median(gyro, axis=0), edges), axis=1)
    known_rate = window_means(rate_t, rate[:, None], edges)[:, 0]
    good = np.isfinite(gyro_rate) & np.isfinite(known_rate)
    turning = good & (known_rate > MIN_TURN)
    if turning.sum() < 5 or not np.ptp(gyro_rate[good]) > 0:
        return None
    slope = float((gyro_rate * known_rate)[turning].sum() / (known_rate[turning] ** 2).sum())
    correlation = float(np.corrcoef(gyro_rate[good], known_rate[good])[0, 1])
    found = GyroComparison(slope, correlation, int(turning.sum()), source)
    return found if correlation > MIN_CORRELATION else None


def best_comparison(
    t: np.ndarray, gyro: np.ndarray, rates: Sequence[tuple[np.ndarray, np.ndarray, str]]
) -> GyroComparison | None:
    """Return the comparison of a gyro with the turn rates (times, rates, source) it fits best."""
    t, gyro = finite_in_order(t, gyro)
    found = [c for rate in rates if (c := compare_turn_rates(t, gyro, *rate))]
    return max(found, key=lambda c: c.correlation, default=None)


def turn_rates(t: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times and turn rates [rad/s] of quaternions `[n, 4]`, over about 0.1 s."""
    step = max(1, round(0.1 / max(float(np.median(np.diff(t))), 1e-6))) if len(t) > 2 else 1
    q, t = q[::step], t[::step]
    over = np.diff(t)
    half = np.linalg.norm(q[1:] - q[:-1] * np.sign((q[1:] * q[:-1]).sum(axis=1))[:, None], axis=1)
    # A chord of the unit sphere: arccos of a product near 1 would lose half the digits.
    angle = 4 * np.arcsin(np.clip(0.5 * half, 0, 1))
    good = over > 0
    return 0.5 * (t[1:] + t[:-1])[good], angle[good] / over[good]


def window_means(t: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return means `[w, c]` of the values between neighbouring edges, NaN where there are none."""
    at = np.searchsorted(edges, t, side="right") - 1
    inside = (at >= 0) & (at < len(edges) - 1) & np.isfinite(values).all(axis=1)
    count = np.bincount(at[inside], minlength=len(edges) - 1).astype(float)
    count[count == 0] = np.nan
    columns = [
        np.bincount(at[inside], v[inside], minlength=len(edges) - 1) / count for v in values.T
    ]
    return np.stack(columns, axis=-1)


def _window_edges(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return edges of windows over the common time; none if stamps are few or scattered."""
    if min(len(a), len(b)) < 10:
        return np.zeros(0)
    first, last = max(a[0], b[0]), min(a[-1], b[-1])
    if not 0 < (last - first) / WINDOW_S < 10 * len(a):
        return np.zeros(0)
    return np.arange(first, last, WINDOW_S)


def finite_in_order(t: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Return times `[n]` and values `[n]` or `[n, c]`: finite rows only, sorted by time."""
    good = np.isfinite(np.column_stack([t, *values])).all(axis=1)
    order = np.flatnonzero(good)[np.argsort(t[good], kind="stable")]
    return [np.asarray(a[order], float) for a in (t, *values)]
