"""A log in CSV files and its map become a drive; what was done to it is said in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.errors import UserError
from kalmanrnn.logs import reference
from kalmanrnn.logs.align import cut
from kalmanrnn.logs.belief import first_belief
from kalmanrnn.logs.gps import choose_events, fixes_of, read_gps
from kalmanrnn.logs.imu import read_imu
from kalmanrnn.logs.mapping import read_map
from kalmanrnn.logs.table import common_span
from kalmanrnn.scenario import Scenario
from kalmanrnn.types import Drive, Packet


class Log(NamedTuple):
    """A real drive and what a report must say about it.

    drive: batch axis 1; its truth is the reference, NaN where that says nothing, or None.
    notes: sentences on what was converted, moved and left out.
    reference_note: the map's own sentence on its reference, or "".
    """

    drive: Drive
    notes: tuple[str, ...]
    reference_note: str


def read_log(scenario: Scenario, folder: Path | str, map_file: Path | str) -> Log:
    """Read a folder of CSV files as its map says.

    The world is east, north, up at the first used fix, the clock starts there, and each used fix
    is an event at its time of validity. The first belief comes from the log itself.
    """
    _check_scenario(scenario)
    folder, layout = Path(folder), read_map(Path(map_file))
    imu, imu_notes = read_imu(folder, layout.imu)
    gps, gps_notes = read_gps(folder, layout.gps)
    tables, notes = [imu, gps], [*imu_notes, *gps_notes]
    if layout.reference is not None:
        ref, ref_notes = reference.read_reference(folder, layout.reference)
        tables.append(ref)
        notes += ref_notes
    fixes, origin, fixes_notes = fixes_of(gps, common_span(tables))
    t, seen, used, events_notes = choose_events(scenario, layout.gps, fixes)
    belief, belief_note = first_belief(scenario, imu, fixes)
    notes += [*fixes_notes, *events_notes, belief_note]
    # On a clock that starts at 0 the ticks' sum is exact to 1e-12 s even for Unix stamps.
    u, dt = cut(t - t[0], imu.t - t[0], imu.values)
    packets = _packets(scenario, seen, fixes.position[used], u, dt)
    truth, said = None, ""
    if layout.reference is not None:
        truth = reference.truth(scenario, layout.reference, tables[2], origin, t)
        said = layout.reference.note
    drive = Drive(t - t[0], packets, belief, truth)
    return Log(jax.tree.map(lambda a: np.asarray(a)[None], drive), tuple(notes), said)


def with_outages(drive: Drive, starts_s: Sequence[float], seconds: float) -> Drive:
    """Return the drive with every correcting sensor unseen in [start, start + seconds).

    Starts count from the drive's first event; works with and without a batch axis.
    """
    t = np.asarray(drive.t)
    since = t - t[..., :1]
    out = np.zeros(t.shape, bool)
    for start in starts_s:
        # Times in decimals: an event at 0.2 * 75 must count as one at 15.
        out |= (since >= start - 1e-6) & (since < start + seconds - 1e-6)
    z = np.where(out[..., None], 0.0, np.asarray(drive.packets.z))
    seen = np.asarray(drive.packets.seen) & ~out[..., None]
    return drive._replace(packets=drive.packets._replace(z=z, seen=seen))


def _packets(
    scenario: Scenario, seen: np.ndarray, position: np.ndarray, u: np.ndarray, dt: np.ndarray
) -> Packet:
    """Put the fixes into the GPS's columns; whatever else the scenario has is never seen."""
    index = [s.name for s in scenario.sensors].index("gps")
    z = np.zeros((len(seen), len(scenario.sigma)))
    z[np.ix_(seen, scenario.sensor_of == index)] = position
    flags = np.zeros((len(seen), len(scenario.sensors)), bool)
    flags[:, index] = seen
    return Packet(z, flags, u, dt)


def _check_scenario(scenario: Scenario) -> None:
    names = [channel.name for channel in scenario.inputs]
    imu = [f"{side}_{axis}" for side in ("gyro", "accel") for axis in "xyz"]
    blocks = {(block.name, block.tangent_size) for block in scenario.space.blocks}
    needed = {("attitude", 3), ("velocity", 3), ("position", 3)}
    gps = any(sensor.name == "gps" and sensor.size == 3 for sensor in scenario.sensors)
    if names != imu or not needed <= blocks or not gps:
        raise UserError(
            f"{scenario.name} cannot run on a log of an IMU and a GPS",
            why=f"it needs inputs {', '.join(imu)}; a gps; attitude, velocity, position in 3-D",
            cure="use --sim imu_gps, or a copy of sims/imu_gps.py",
        )
