"""Check an IMU's units and mounting by its readings; pure functions, numpy only."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.logs.conversion.extrinsics import (
    GRAVITY,
    MAX_RATE,
    MAX_TILT_DEG,
    find_mounting,
    guess_accel_unit,
    high_rate,
    quiet_specific_force,
)
from kalmanrnn.logs.conversion.imu_consistency import GyroComparison, MountingYaw

FLU, FRD = "forward-left-up", "forward-right-down"


def check_accel(name: str, gyro: np.ndarray, accel: np.ndarray) -> Finding:
    """Check the accelerometer's unit by the size of gravity."""
    force = quiet_specific_force(gyro, accel)
    size = float(np.linalg.norm(force))
    unit = guess_accel_unit(force)
    evidence = f"at rest it reads {size:.3f} in total; gravity is {GRAVITY:.2f} m/s^2 or 1 g"
    if unit == "g":
        what, line = "the accelerometer is in g", "imu: {accel_unit: g}"
        return Finding("error", name, what, evidence, command=line)
    if unit:
        return Finding("ok", name, "the accelerometer is in m/s^2", evidence)
    if size < 0.2 * GRAVITY:
        what = "gravity is missing from the accelerometer"
        return Finding("error", name, what, evidence, "log the raw accelerometer, with gravity")
    what = "the accelerometer's unit is unclear"
    return Finding("error", name, what, evidence, "scale it to m/s^2 where it is logged")


def check_mounting(
    name: str,
    gyro: np.ndarray,
    accel: np.ndarray,
    mounting_yaw: MountingYaw | None,
    *,
    axes: str = "",
) -> Finding:
    """Check the IMU's mounting by gravity's direction, and by `mounting_yaw` if it is known.

    axes: those that the log itself names, or "".
    """
    force = quiet_specific_force(gyro, accel)
    R, tilt = find_mounting(force)
    at = int(np.argmax(np.abs(force)))
    axis = f"{'-' if force[at] < 0 else '+'}{'xyz'[at]}"
    reading = ", ".join(f"{x:.2f}" for x in force)
    evidence = f"gravity is along {axis} (({reading}) m/s^2), {tilt:.0f} deg off it"
    known = mounting_yaw is not None and mounting_yaw.is_reliable
    if mounting_yaw is not None:
        evidence += (
            f"; the robot's accelerations differ from the IMU's by "
            f"{np.degrees(mounting_yaw.angle):+.0f} deg about up, "
            f"agreement {mounting_yaw.agreement:.2f}"
        )
        if known:
            R = mounting_yaw.quarter_turns @ R
    doubt = "; its rotation about up is unknown, so check which axis is forward"
    doubt = "" if known or axes else doubt
    if tilt > MAX_TILT_DEG:
        what = f"is tilted: no axis is within {MAX_TILT_DEG:g} deg of up"
        cure = "take the rotation matrix from its drawing"
        return Finding("error", name, what, evidence, cure, "imu: {axes: [...]}")
    if np.array_equal(R, np.eye(3)):
        return Finding("ok", name, f"axes are {FLU}{doubt}", evidence)
    if np.array_equal(R, np.diag([1, -1, -1])):
        source = ", according to the log" if axes == FRD else ""
        what = f"axes are {FRD}{source}{doubt}"
        return Finding("note", name, what, evidence, command=f"imu: {{axes: {FRD}}}")
    rows = ", ".join(f"[{', '.join(f'{v:d}' for v in row)}]" for row in R.tolist())
    what = f"is mounted rotated{doubt}"
    return Finding("error", name, what, evidence, command=f"imu: {{axes: [{rows}]}}")


def check_gyro(
    name: str, gyro: np.ndarray, compared: GyroComparison | None, *, stated: str = ""
) -> Finding:
    """Check the gyro's unit: against known turn rates if there are any, else by its size.

    stated: the unit in the columns' names, or "".
    """
    high = high_rate(gyro)
    evidence = f"95 % of its readings are below {high:.3g}"
    unit, is_reliable = ("deg/s", True) if high > MAX_RATE else ("rad/s", False)
    if compared is not None:
        evidence = (
            f"{compared.slope:.3g} times the turn rate of {compared.source} "
            f"({compared.windows} windows with turns, correlation {compared.correlation:.2f})"
        )
        unit, is_reliable = compared.unit, True
    if stated and (compared is None or unit == stated):
        unit, is_reliable, evidence = stated, True, f"by its columns' names; {evidence}"
    line = "imu: {gyro_unit: deg/s}"
    if unit == "deg/s":
        return Finding("error", name, "the gyro is in deg/s", evidence, command=line)
    if compared is not None and abs(np.log(compared.slope)) > np.log(1.5):
        what = "the gyro's scale is off"
        return Finding("error", name, what, evidence, "check the gyro's unit and its driver")
    if is_reliable:
        return Finding("ok", name, "the gyro is in rad/s", evidence)
    what = "the gyro is assumed to be in rad/s; nothing else in the log measures turns"
    return Finding("note", name, what, evidence, "if it is in deg/s, set it in the map", line)
