"""A logged reference trajectory as truth states at a drive's events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from kalmanrnn.logs import geodesy
from kalmanrnn.logs.align import interpolate
from kalmanrnn.logs.layout import ReferenceMap
from kalmanrnn.logs.table import Table, moved, read_table
from kalmanrnn.scenario import Scenario


def read_reference(folder: Path, layout: ReferenceMap) -> tuple[Table, list[str]]:
    """Return position, velocity and quaternion columns, as far as the map names them."""
    columns = [*layout.ecef_position, *layout.ecef_velocity, *layout.quaternion_wxyz]
    return moved(read_table(folder / layout.file, layout.time, columns), layout.delay_s)


def truth(
    scenario: Scenario,
    layout: ReferenceMap,
    table: Table,
    origin: geodesy.Origin,
    t: np.ndarray,
) -> np.ndarray:
    """Return states `[E, X]` at times t, NaN where the reference says nothing (biases)."""
    space = scenario.space
    states = np.full((len(t), space.state_dim), np.nan)
    to_enu = geodesy.enu_axes(origin)
    position = geodesy.ecef_to_enu(origin, table.values[:, :3])
    states[:, space.state_slice("position")] = interpolate(t, table.t, position)
    velocity = len(layout.ecef_velocity)
    if velocity:
        v = table.values[:, 3:6] @ to_enu.T
        states[:, space.state_slice("velocity")] = interpolate(t, table.t, v)
    if layout.quaternion_wxyz:
        wxyz = table.values[:, 3 + velocity :]
        logged = Rotation.from_matrix(to_enu) * Rotation.from_quat(wxyz[:, [1, 2, 3, 0]])
        # The matrix takes logged axes to ours; its inverse goes in front of the logged turn.
        body = logged * Rotation.from_matrix(layout.axes.matrix).inv()
        states[:, space.state_slice("attitude")] = Slerp(table.t, body)(t).as_quat()
    return states
