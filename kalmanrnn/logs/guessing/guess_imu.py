"""Lines of a guessed map on an IMU's mounting and units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.logs.conversion import extrinsics


class WheelOdometry(NamedTuple):
    """Wheel odometry on the IMU's clock: times `[n]`, speed [m/s], turn rate [rad/s]."""

    t: np.ndarray
    speed: np.ndarray
    turn: np.ndarray


def imu_lines(
    gyro: np.ndarray,
    accel: np.ndarray,
    t: np.ndarray,
    *,
    rate: np.ndarray | None = None,
    wheels: WheelOdometry | None = None,
    axes: str = "",
    units: tuple[str, str] = ("", ""),
) -> list[str]:
    """Write an IMU's axes and units by its readings `[n, 3]`, unless they are given.

    rate: its turn rate `[n]` [rad/s] from another source.
    """
    force = extrinsics.quiet_specific_force(gyro, accel)
    reading = ", ".join(f"{a:.2f}" for a in force)
    known = bool(np.isfinite(force).all() and np.linalg.norm(force) > 0)
    lines = [f"  axes: {axes}"] if axes else _axes_lines(force, accel, t, wheels) if known else []
    gyro_unit = units[0] or extrinsics.guess_gyro_unit(gyro, rate, t)
    accel_unit = units[1] or extrinsics.guess_accel_unit(force)
    if gyro_unit != "rad/s":
        lines.append(
            f"  gyro_unit: {gyro_unit}" + "  # in deg/s, by the size of its rates" * (not units[0])
        )
    elif rate is None and not units[0] and extrinsics.is_unit_ambiguous(gyro):
        lines.append("  # its rates are large for rad/s: check gyro_unit")
    if accel_unit == "g":
        lines.append(
            "  accel_unit: g" + f"  # in g, because at rest it reads ({reading})" * (not units[1])
        )
    if not accel_unit:
        lines.append(
            f"  # at rest it reads ({reading}), neither 9.8 m/s^2 nor 1 g: check accel_unit"
        )
    return lines


def _axes_lines(
    force: np.ndarray, accel: np.ndarray, t: np.ndarray, wheels: WheelOdometry | None
) -> list[str]:
    """Write the IMU's axes: up by gravity, forward by the wheels if they are conclusive."""
    R, left = extrinsics.find_mounting(force)
    quarters, correlation = 0, 0.0
    if wheels is not None:
        level = (accel @ R.T)[:, :2] * (extrinsics.GRAVITY / np.linalg.norm(force))
        quarters, correlation = extrinsics.find_forward(t, level, *wheels)
        R = extrinsics.quarter_turns(quarters) @ R
    lines = []
    if not np.array_equal(R, np.eye(3)):
        up = ", ".join(f"{a:.2f}" for a in force)
        ahead = (
            f"forward is where the wheels accelerate (correlation {correlation:.2f})"
            if correlation
            else "which way is forward is unknown"
        )
        rows = ", ".join("[" + ", ".join(map(str, row)) + "]" for row in R.tolist())
        lines.append(f"  # at rest it reads ({up}), which must be up; {ahead}")
        lines.append(f"  axes: [{rows}]")
    if left > extrinsics.MAX_TILT_DEG:
        lines.append(f"  # {left:.0f} deg from level even then: check the axes")
    return lines
