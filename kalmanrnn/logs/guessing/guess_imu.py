"""Lines of a guessed map on an IMU's mounting and units."""

from __future__ import annotations

import numpy as np

from kalmanrnn.logs.conversion import extrinsics
from kalmanrnn.logs.conversion.imu_consistency import (
    GyroComparison,
    MountingYaw,
    estimate_mounting_yaw,
    finite_in_order,
)
from kalmanrnn.logs.mapping.schema import GYRO_UNITS


def imu_lines(
    gyro: np.ndarray,
    accel: np.ndarray,
    t: np.ndarray,
    *,
    compared: GyroComparison | None = None,
    wheels: tuple[np.ndarray, np.ndarray] | None = None,
    axes: str = "",
    units: tuple[str, str] = ("", ""),
) -> list[str]:
    """Write an IMU's axes and units by its readings `[n, 3]`, unless they are given.

    compared: its gyro with another source of turn rates. wheels: times on its clock, and the
    speeds [m/s] of wheel odometry.
    """
    t, gyro, accel = finite_in_order(t, gyro, accel)
    force = extrinsics.quiet_specific_force(gyro, accel)
    reading = ", ".join(f"{a:.2f}" for a in force)
    high = extrinsics.high_rate(gyro)
    by_size = "deg/s" if high > extrinsics.MAX_RATE else "rad/s"
    gyro_unit = units[0] or (compared.unit if compared else by_size)
    accel_unit = units[1] or extrinsics.guess_accel_unit(force)
    lines = [f"  axes: {axes}"] if axes else []
    if not axes and np.isfinite(force).all() and np.linalg.norm(force) > 0:
        rates = gyro * GYRO_UNITS[gyro_unit]
        lines = _axes_lines(force, wheels and estimate_mounting_yaw(t, rates, accel, *wheels))
    if gyro_unit != "rad/s":
        lines.append(
            f"  gyro_unit: {gyro_unit}" + "  # in deg/s, by the size of its rates" * (not units[0])
        )
    elif compared is None and not units[0] and high > extrinsics.AMBIGUOUS_RATE:
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


def _axes_lines(force: np.ndarray, yaw: MountingYaw | None) -> list[str]:
    """Write the IMU's axes: up by gravity, forward by the wheels if they are conclusive."""
    R, left = extrinsics.find_mounting(force)
    ahead = "which way is forward is unknown"
    if yaw is not None and yaw.is_reliable:
        R = yaw.quarter_turns @ R
        ahead = f"forward is where the wheels accelerate (correlation {yaw.agreement:.2f})"
    lines = []
    if not np.array_equal(R, np.eye(3)):
        up = ", ".join(f"{a:.2f}" for a in force)
        rows = ", ".join("[" + ", ".join(map(str, row)) + "]" for row in R.tolist())
        lines.append(f"  # at rest it reads ({up}), which must be up; {ahead}")
        lines.append(f"  axes: [{rows}]")
    if left > extrinsics.MAX_TILT_DEG:
        lines.append(f"  # {left:.0f} deg from level even then: check the axes")
    return lines
