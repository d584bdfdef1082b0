"""An IMU's file in SI units and our axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kalmanrnn.logs.layout import ACCEL_UNITS, GYRO_UNITS, ImuMap
from kalmanrnn.logs.table import Table, moved, read_table


def read_imu(folder: Path, layout: ImuMap) -> tuple[Table, list[str]]:
    """Return gyro [rad/s] and accel [m/s^2] `[n, 6]` forward, left, up; and what was converted."""
    table = read_table(folder / layout.file, layout.time, [*layout.gyro, *layout.accel])
    turn = layout.axes.matrix.T
    gyro = table.values[:, :3] * GYRO_UNITS[layout.gyro_unit] @ turn
    accel = table.values[:, 3:] * ACCEL_UNITS[layout.accel_unit] @ turn
    values = np.concatenate([gyro, accel], axis=1)
    table, notes = moved(table._replace(values=values), layout.delay_s)
    if not np.allclose(layout.axes.matrix, np.eye(3)):
        notes.append(f"{table.name}: axes {layout.axes.name} turned into forward-left-up")
    if layout.gyro_unit != "rad/s":
        notes.append(f"{table.name}: gyro {layout.gyro_unit} turned into rad/s")
    if layout.accel_unit != "m/s^2":
        notes.append(f"{table.name}: accel {layout.accel_unit} turned into m/s^2")
    return table, notes + _rate(table)


def _rate(table: Table) -> list[str]:
    """Say the usual rate, and where readings are missing."""
    steps = np.diff(table.t)
    if not steps.size:
        return []
    usual = float(np.median(steps))
    notes = [f"{table.name}: {len(table.t)} readings at {1 / usual:.0f} Hz"]
    long = int((steps > 5 * usual).sum())
    if long:
        notes.append(f"{table.name}: {long} gaps, up to {steps.max():.2f} s, bridged by a line")
    return notes
