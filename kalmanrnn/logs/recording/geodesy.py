"""Latitude, longitude and earth-fixed coordinates to local east, north, up; by pymap3d."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.extras import require


class Origin(NamedTuple):
    """Origin of the local frame: degrees, degrees, metres above the ellipsoid."""

    latitude: float
    longitude: float
    altitude_m: float


def geodetic_to_enu(origin: Origin, geodetic: np.ndarray) -> np.ndarray:
    """Convert `[n, 3]` latitude, longitude [deg], altitude [m] to east, north, up [m]."""
    return np.stack(_pymap3d().geodetic2enu(*geodetic.T, *origin), axis=-1)


def enu_to_geodetic(origin: Origin, enu: np.ndarray) -> np.ndarray:
    """Convert `[n, 3]` east, north, up [m] to latitude, longitude [deg], altitude [m]."""
    return np.stack(_pymap3d().enu2geodetic(*enu.T, *origin), axis=-1)


def ecef_to_enu(origin: Origin, ecef: np.ndarray) -> np.ndarray:
    """Convert `[n, 3]` earth-centred earth-fixed positions [m] to east, north, up [m]."""
    return np.stack(_pymap3d().ecef2enu(*ecef.T, *origin), axis=-1)


def ecef_to_geodetic(position: np.ndarray) -> Origin:
    """Convert one earth-centred earth-fixed position `[3]` [m] to latitude, longitude, altitude."""
    return Origin(*map(float, _pymap3d().ecef2geodetic(*position)))


def enu_axes(origin: Origin) -> np.ndarray:
    """Return the `[3, 3]` matrix that rotates earth-fixed vectors to east, north, up."""
    return np.stack(_pymap3d().ecef2enuv(*np.eye(3), origin.latitude, origin.longitude))


def _pymap3d() -> ModuleType:
    return require("pymap3d", "logs", "convert latitude and longitude to metres")
