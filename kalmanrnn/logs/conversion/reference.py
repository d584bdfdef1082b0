"""A logged reference trajectory in our frame: from columns, ROS topics or PX4's ground truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.conversion.clock import TimedTopic, clean
from kalmanrnn.logs.conversion.convert import ODOMETRY, POSES, custom_stream
from kalmanrnn.logs.conversion.local_frame import MAX_ALTITUDE_M
from kalmanrnn.logs.conversion.ros_messages import NED, read_pose, rotate_attitude
from kalmanrnn.logs.mapping.schema import FLU, FRD, LogMap, ReferenceMap, StreamMap
from kalmanrnn.logs.recording import geodesy
from kalmanrnn.logs.recording.geodesy import Origin
from kalmanrnn.logs.recording.recording import Stream
from kalmanrnn.logs.recording.time_alignment import interpolate

ATTITUDE = "px4/vehicle_attitude_groundtruth"
LOCAL = "px4/vehicle_local_position_groundtruth"
GLOBAL = "px4/vehicle_global_position_groundtruth"
BLOCKS = {"position": (3, "m"), "velocity": (3, "m/s"), "attitude": (4, "")}


class LocalReference(NamedTuple):
    """A reference before it is aligned to the GPS.

    is_absolute: `[3]` whether each component of its position is in our frame; the others have
    an unknown constant offset.
    """

    stream: Stream
    is_absolute: np.ndarray


def reference_stream(
    timed: list[TimedTopic], log_map: LogMap, origin: Origin | None
) -> tuple[LocalReference, Origin | None]:
    """Return the reference and the origin, which it defines if nothing else does."""
    section = log_map.reference
    assert section is not None
    if section.channels:
        own = StreamMap(section.channels, file=section.file)
        (stream,), _ = custom_stream("reference", timed[0], own)
        return _georeference(stream, section, origin), origin
    if section.file:
        return _from_ecef(timed[0], section, origin)
    types = {t.type: t for t in timed}
    if types.keys() <= {ATTITUDE, LOCAL, GLOBAL}:
        return _from_px4(types, origin)
    if len(timed) == 1 and timed[0].type in (ODOMETRY, *POSES):
        return _georeference(_from_pose(timed[0], log_map), section, origin), origin
    raise UserError(
        f"{', '.join(t.name for t in timed)}: no reference can be read from "
        + ", ".join(f"a {t.type}" for t in timed),
        why=f"it is read from one of {ODOMETRY}, {', '.join(POSES)}, or from PX4's *_groundtruth",
        cure="name another topic under `reference` in the map",
    )


def align_to_gps(found: LocalReference, gps: Stream | None) -> tuple[Stream, list[str]]:
    """Shift the components that are not absolute by the median difference to the GPS."""
    stream = found.stream
    columns = [stream.channels.index(f"position_{i}") for i in range(3)
               if f"position_{i}" in stream.channels]  # fmt: skip
    free = [(i, c) for i, c in enumerate(columns) if not found.is_absolute[i]]
    if not free or gps is None:
        return stream, []
    inside = (gps.t >= stream.t[0]) & (gps.t <= stream.t[-1])
    if not inside.any():
        return stream, ["reference: it does not overlap the GPS in time, and is not aligned to it"]
    values, moves = stream.values.copy(), []
    for axis, column in free:
        at = np.interp(gps.t[inside], stream.t, values[:, column])
        move = float(np.median(gps.values[inside, axis] - at))
        values[:, column] += move
        moves.append(f"{('east', 'north', 'up')[axis]} {move:.2f} m")
    note = (
        f"reference: shifted by {', '.join(moves)}, its median difference to the GPS, because "
        "its own frame has no known origin"
    )
    return stream._replace(values=values), [note]


def _make_stream(t: np.ndarray, parts: dict[str, np.ndarray]) -> Stream:
    names = {f"{block}_{i}": BLOCKS[block][1] for block in parts for i in range(BLOCKS[block][0])}
    values = np.concatenate(list(parts.values()), axis=1)
    return Stream("reference", t, values, tuple(names), tuple(names.values()))


def _georeference(stream: Stream, section: ReferenceMap, origin: Origin | None) -> LocalReference:
    """Move a reference in a local frame to ours, if the map gives its origin."""
    if not section.origin or origin is None:
        return LocalReference(stream, np.zeros(3, bool))
    names = [f"position_{i}" for i in range(3)]
    own = Origin(*section.origin)
    is_valid = (np.abs(own) <= [90, 180, MAX_ALTITUDE_M]).all()
    if not is_valid or not set(names) <= set(stream.channels):
        raise UserError(
            f"reference.origin: {list(section.origin)} cannot be used",
            why="it must be latitude, longitude [deg] and altitude [m] of the origin of a "
            f"reference with {', '.join(names)}",
            cure="correct `origin` in the map, or remove it to align the reference to the GPS",
        )
    columns = [stream.channels.index(name) for name in names]
    values = stream.values.copy()
    values[:, columns] = geodesy.geodetic_to_enu(
        origin, geodesy.enu_to_geodetic(own, values[:, columns])
    )
    return LocalReference(stream._replace(values=values), np.ones(3, bool))


def _from_ecef(
    timed: TimedTopic, section: ReferenceMap, origin: Origin | None
) -> tuple[LocalReference, Origin | None]:
    """Read earth-centred, earth-fixed columns."""
    place = timed.columns("{}", section.ecef_position)
    if origin is None:
        origin = geodesy.ecef_to_geodetic(place[np.isfinite(place).all(axis=1)][0])
    to_enu = geodesy.enu_axes(origin)
    parts = {"position": geodesy.ecef_to_enu(origin, place)}
    if section.ecef_velocity:
        parts["velocity"] = timed.columns("{}", section.ecef_velocity) @ to_enu.T
    if section.quaternion_wxyz:
        q = np.roll(timed.columns("{}", section.quaternion_wxyz), -1, axis=1)
        parts["attitude"] = rotate_attitude(q, to_enu, (section.axes or FLU).matrix)
    return LocalReference(_make_stream(timed.t, parts), np.ones(3, bool)), origin


def _from_pose(timed: TimedTopic, log_map: LogMap) -> Stream:
    """Read an Odometry or a pose; an Odometry's twist is velocity in body axes."""
    section = log_map.reference
    assert section is not None
    ned = (section.frame or log_map.frame) == "ned"
    turn = (section.axes or (FRD if ned else FLU)).matrix
    position, quaternion, _ = read_pose(timed, ned=ned, turn=turn)
    parts = {"position": position, "attitude": quaternion}
    if timed.type == ODOMETRY:
        body = timed.columns("twist.twist.linear.{}", "xyz") @ turn.T
        known = np.isfinite(quaternion).all(axis=1)
        v = np.full(body.shape, np.nan)
        v[known] = Rotation.from_quat(quaternion[known]).apply(body[known])
        parts["velocity"] = v
    return _make_stream(timed.t, parts)


def _from_px4(
    types: dict[str, TimedTopic], origin: Origin | None
) -> tuple[LocalReference, Origin | None]:
    """Read the simulator's truth: position at its own times, attitude interpolated."""
    is_absolute, parts = np.ones(3, bool), {}
    place = types.get(LOCAL) or types.get(GLOBAL)
    if place is None:
        attitude, _ = clean(_px4_attitude(types[ATTITUDE]))
        return LocalReference(attitude, is_absolute), origin
    if place.type == LOCAL:
        enu = place.columns("{}", "xyz") @ NED.T
        parts["velocity"] = place.columns("v{}", "xyz") @ NED.T
        own = Origin(*map(float, np.median(place.columns("ref_{}", ("lat", "lon", "alt")), axis=0)))
        is_absolute[:2] = np.isfinite(own[:2]).all() and own[:2] != (0.0, 0.0)
        is_absolute[2] = own.altitude_m != 0.0
        if is_absolute[0] and origin is not None:
            enu = geodesy.geodetic_to_enu(origin, geodesy.enu_to_geodetic(own, enu))
    else:
        geodetic = place.columns("{}", ("lat", "lon", "alt"))
        is_absolute[2] = bool((geodetic[:, 2] != 0).any())
        origin = origin or Origin(*map(float, geodetic[0]))
        enu = geodesy.geodetic_to_enu(origin, geodetic)
    stream, _ = clean(_make_stream(place.t, {"position": enu, **parts}))
    if ATTITUDE in types:
        stream = _with_attitude(stream, clean(_px4_attitude(types[ATTITUDE]))[0])
    return LocalReference(stream, is_absolute), origin


def _px4_attitude(timed: TimedTopic) -> Stream:
    """Read quaternions w, x, y, z from forward-right-down to north, east, down."""
    q = timed.columns("q[{}]", "1230")
    return _make_stream(timed.t, {"attitude": rotate_attitude(q, NED, FRD.matrix)})


def _with_attitude(stream: Stream, attitude: Stream) -> Stream:
    if len(attitude.t) < 2:
        return stream
    inside = (stream.t >= attitude.t[0]) & (stream.t <= attitude.t[-1])
    t = stream.t[inside]
    q = Slerp(attitude.t, Rotation.from_quat(attitude.values))(t).as_quat()
    values = interpolate(t, stream.t, stream.values)
    return Stream(
        "reference",
        t,
        np.concatenate([values, q], axis=1),
        stream.channels + attitude.channels,
        stream.units + attitude.units,
    )
