"""GPS fixes in degrees to local east, north, up; their stamps to an even clock."""

from __future__ import annotations

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.recording import geodesy
from kalmanrnn.logs.recording.geodesy import Origin
from kalmanrnn.logs.recording.recording import Stream
from kalmanrnn.logs.recording.time_alignment import regularise_stamps

MIN_FIXES = 10
# Anything higher is not a fix.
MAX_ALTITUDE_M = 1e6


def check_geodetic(stream: Stream, name: str) -> tuple[Stream, list[str]]:
    """Check fixes `[n, 3]` latitude, longitude [deg], altitude [m]; set invalid ones to NaN.

    0, 0 is a receiver without a fix, not a place in the Gulf of Guinea.
    """
    values = stream.values
    outside = np.flatnonzero((np.abs(values[:, :2]) > [90, 180]).any(axis=1))
    if outside.size:
        latitude, longitude = values[outside[0], :2]
        hint, cure = "", "check the columns in the map, and that they hold decimal degrees"
        if abs(longitude) <= 90 and abs(latitude) <= 180:
            hint, cure = ", and these look swapped", "swap latitude and longitude in the map"
        raise UserError(
            f"{name}: latitude {latitude:g}, longitude {longitude:g} at fix {outside[0] + 1}",
            why="they must be degrees within 90 and 180" + hint,
            cure=cure,
        )
    nowhere = (values[:, :2] == 0).all(axis=1)
    if nowhere.all():
        raise UserError(
            f"{name}: all {len(values)} fixes are at latitude 0, longitude 0",
            why="a receiver without satellites reports that",
            cure="use a log in which the GPS works",
        )
    high = np.abs(values[:, 2]) > MAX_ALTITUDE_M
    dropped = {"latitude 0, longitude 0": nowhere, "impossible altitudes": high}
    notes = [f"{name}: {d.sum()} fixes at {at} dropped" for at, d in dropped.items() if d.any()]
    values = np.where((nowhere | high)[:, None], np.nan, values)
    return stream._replace(values=values), notes


def to_local(stream: Stream) -> tuple[Stream, Origin, str]:
    """Convert fixes to east, north, up of the first one."""
    origin = Origin(*map(float, stream.values[0]))
    note = (
        f"world: east, north, up at latitude {origin.latitude:.7f}, longitude "
        f"{origin.longitude:.7f}, altitude {origin.altitude_m:.1f} m, the first used fix"
    )
    return stream._replace(values=geodesy.geodetic_to_enu(origin, stream.values)), origin, note


def regularise(stream: Stream, name: str, period_s: float) -> tuple[Stream, list[str]]:
    """Put a stream's times on the receiver's even clock."""
    if not period_s or len(stream.t) < MIN_FIXES:
        return stream, []
    even, found = stream.t, 0.0
    if 0 < period_s < 2 * np.median(np.diff(stream.t)):
        even, epoch = regularise_stamps(stream.t, period_s)
        rising = np.diff(epoch).min() >= 1
        found = (even[-1] - even[0]) / (epoch[-1] - epoch[0]) if rising else 0.0
    jitter = np.abs(stream.t - even)
    if abs(found / period_s - 1) > 1e-3:
        raise UserError(
            f"{name}: the fixes do not fit an interval of {period_s:g} s",
            why="with gps.period_s every fix must fall on its own tick of an even clock",
            cure="correct gps.period_s in the map, or remove it",
        )
    note = (
        f"{name}: times moved to the receiver's even clock of {period_s:g} s, "
        f"by at most {1e3 * jitter.max():.0f} ms"
    )
    return stream._replace(t=even), [note]
