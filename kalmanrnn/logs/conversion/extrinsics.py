"""An IMU's mounting and units, from its readings."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

GRAVITY = 9.80665
DEGREES = 180 / np.pi
# No robot turns faster than that in 5 % of its readings; above the other value the unit is
# ambiguous [rad/s].
MAX_RATE = 10.0
AMBIGUOUS_RATE = 2.0
MAX_TILT_DEG = 25.0


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
    return list(np.rint(Rotation.create_group("O").as_matrix()).astype(int))


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


def high_rate(gyro: np.ndarray) -> float:
    """Return what 95 % of the sizes of rates `[n, 3]` stay below; 0 if there are none."""
    size = np.linalg.norm(gyro[np.isfinite(gyro).all(axis=1)], axis=1)
    return float(np.quantile(size, 0.95)) if len(size) else 0.0
