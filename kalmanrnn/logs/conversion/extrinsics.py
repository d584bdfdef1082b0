"""An IMU's mounting and units, from its readings; numpy only."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

GRAVITY = 9.80665
DEGREES = 180 / np.pi
# Below this total turn, rates cannot be compared [rad].
MIN_TURN = 1.0
# No robot turns faster than that in 5 % of its readings; above the other value the unit is
# ambiguous [rad/s].
MAX_RATE = 10.0
AMBIGUOUS_RATE = 2.0
MAX_TILT_DEG = 25.0
MARGIN_S = 1.0
MIN_OVERLAP_S, MAX_OVERLAP_S = 10.0, 1e6


def quiet_specific_force(gyro: np.ndarray, accel: np.ndarray) -> np.ndarray:
    """Return the mean specific force `[3]` over the quieter half of the readings."""
    known = np.isfinite(gyro).all(axis=1) & np.isfinite(accel).all(axis=1)
    gyro, accel = gyro[known], accel[known]
    if not len(accel):
        return np.full(3, np.nan)
    size = np.linalg.norm(accel, axis=1)
    rotation = np.linalg.norm(gyro - np.median(gyro, axis=0), axis=1)
    deviation = np.abs(size - np.median(size))
    quiet = (rotation <= np.median(rotation)) & (deviation <= np.quantile(deviation, 0.9))
    return accel[quiet].mean(axis=0) if quiet.any() else accel.mean(axis=0)


def axis_rotations() -> list[np.ndarray]:
    """Return the 24 rotations `[3, 3]` that map axes to axes."""
    found = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        R = np.zeros((3, 3), int)
        R[range(3), order] = signs
        if round(np.linalg.det(R)) == 1:
            found.append(R)
    return found


def find_mounting(force: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the one of the 24 axis rotations that best aligns a resting force `[3]` with up.

    Of the four that do, the smallest, which keeps x forward if it can; and the angle that
    remains between the force and up [deg].
    """
    axis = np.zeros(3, int)
    axis[np.argmax(np.abs(force))] = 1 if force[np.argmax(np.abs(force))] > 0 else -1
    upright = [R for R in axis_rotations() if (R @ axis == [0, 0, 1]).all()]
    best = max(upright, key=lambda R: (np.trace(R), R[0, 0]))
    cosine = np.clip(force @ axis / np.linalg.norm(force), -1, 1)
    return best, float(np.degrees(np.arccos(cosine)))


def guess_accel_unit(force: np.ndarray) -> str:
    """Return "m/s^2" or "g" by the norm of a resting force, "" if it is neither."""
    size = float(np.linalg.norm(force))
    if 0.8 < size < 1.2:
        return "g"
    return "m/s^2" if 0.8 * GRAVITY < size < 1.2 * GRAVITY else ""


def guess_gyro_unit(gyro: np.ndarray, rate: np.ndarray | None, t: np.ndarray) -> str:
    """Return "rad/s" or "deg/s": against a known turn rate `[n]` [rad/s], else by magnitude."""
    size = np.linalg.norm(np.nan_to_num(gyro), axis=1)
    if rate is not None:
        step = np.diff(t, append=t[-1:])
        known = np.isfinite(rate) & np.isfinite(step)
        turned = float((np.abs(rate[known]) * step[known]).sum())
        if turned > MIN_TURN:
            ratio = float((size[known] * step[known]).sum()) / turned
            return "deg/s" if ratio > np.sqrt(DEGREES) * 2 else "rad/s"
    return "deg/s" if np.quantile(size, 0.95) > MAX_RATE else "rad/s"


def is_unit_ambiguous(gyro: np.ndarray) -> bool:
    """Whether rates `[n, 3]` could be in degrees as well as in radians."""
    return float(np.quantile(np.linalg.norm(np.nan_to_num(gyro), axis=1), 0.95)) > AMBIGUOUS_RATE


def attitude_rate(t: np.ndarray, q: np.ndarray) -> np.ndarray | None:
    """Return the turn rate `[n]` [rad/s] of quaternions `[n, 4]`; None if they are not set."""
    size = np.linalg.norm(q, axis=1)
    if len(t) < 3 or not np.isfinite(size).all() or np.abs(size - 1).max() > 0.1:
        return None
    # Over a quarter of a second, so that turns are compared and not noise.
    step = float(np.median(np.diff(t)))
    stride = max(1, round(0.25 / step)) if 0 < step < np.inf else len(t)
    if len(t) <= stride:
        return None
    half = np.clip(np.abs((q[stride:] * q[:-stride]).sum(axis=1)), 0, 1)
    over = np.maximum(t[stride:] - t[:-stride], 1e-9)
    rate = np.full(len(t), np.nan)
    rate[: len(over)] = 2 * np.arccos(half) / over
    return rate


def find_forward(
    t: np.ndarray, level: np.ndarray, wheels_t: np.ndarray, speed: np.ndarray, turn: np.ndarray
) -> tuple[int, float]:
    """Return how many quarter turns the IMU's x lies left of forward, and their correlation.

    level: `[n, 2]` horizontal specific force [m/s^2]. Wheels accelerate forward and, in turns,
    to the inside; as complex numbers, that acceleration and the IMU's differ by the angle
    between their axes. 0 if the correlation may be chance or the angle is near no quarter.
    """
    first, last = max(t[0], wheels_t[0]) + MARGIN_S, min(t[-1], wheels_t[-1]) - MARGIN_S
    if not MIN_OVERLAP_S < last - first < MAX_OVERLAP_S:
        return 0, 0.0
    at = np.arange(first, last, 0.1)
    v, w = (_moving_average(at, wheels_t, x) for x in (speed, turn))
    expected = np.gradient(v, at) + 1j * v * w
    x, y = (_moving_average(at, t, level[:, i]) for i in range(2))
    measured = (x - np.median(x)) + 1j * (y - np.median(y))
    size = np.sqrt((np.abs(expected) ** 2).sum() * (np.abs(measured) ** 2).sum())
    found = (measured * np.conj(expected)).sum() / size if size > 0 else 0j
    quarters = np.angle(found) / (np.pi / 2)
    # Half a second is one independent sample: chance exceeds three deviations once in 10^4.
    chance = 3 / np.sqrt(2 * (last - first))
    if abs(found) < max(0.25, chance) or abs(quarters - round(quarters)) > 0.3:
        return 0, 0.0
    return round(quarters) % 4, float(abs(found))


def quarter_turns(quarters: int) -> np.ndarray:
    """Return the rotation `[3, 3]` of vectors by that many quarter turns to the right."""
    x, y = [(1, 0), (0, -1), (-1, 0), (0, 1)][quarters % 4]
    return np.array([[x, -y, 0], [y, x, 0], [0, 0, 1]])


def _moving_average(at: np.ndarray, t: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Average over half a second around each time; readings that are not finite count as 0."""
    order = np.argsort(t, kind="stable")
    t, x = t[order], np.nan_to_num(x[order])
    total = np.append(0.0, np.cumsum(x))
    low, high = np.searchsorted(t, at - 0.25), np.searchsorted(t, at + 0.25)
    return (total[high] - total[low]) / np.maximum(high - low, 1)
