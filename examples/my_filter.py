"""A UKF written with filterpy, as one has it lying about, made the teacher for the rover.

    kalmanrnn train --sim rover --teacher examples/my_filter.py:make_filter

State x, y, heading; inputs wheel_left, wheel_right, gyro_z, accel_forward; readings compass,
gps east, gps north. `step` gets what `kalmanrnn.types.Packet` says, in numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from filterpy.kalman import MerweScaledSigmaPoints, UnscentedKalmanFilter

from kalmanrnn.filters.external.filterpy_adapter import FilterpyTeacher

COMPASS, GPS = 0, 1
COMPASS_SIGMA, GPS_SIGMA, GYRO_SIGMA, SPEED_SIGMA = 0.1, 1.0, 0.02, 0.1


def wrap(angle: np.ndarray) -> np.ndarray:
    """Bring angles into [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def residual(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a - b of states, the heading wrapped."""
    d = np.subtract(a, b)
    d[2] = wrap(d[2])
    return d


def mean(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average states; headings as deviations from the first one."""
    about = points[0]
    return about + weights @ np.array([residual(p, about) for p in points])


def drive(x: np.ndarray, dt: float, u: np.ndarray) -> np.ndarray:
    """Move by the mean wheel speed and the gyro."""
    speed, rate = 0.5 * (u[0] + u[1]), u[2]
    middle = x[2] + 0.5 * rate * dt
    return x + dt * np.array([speed * np.cos(middle), speed * np.sin(middle), rate])


def inputs(u: np.ndarray, dt: float) -> dict[str, Any]:
    """Say what predict gets for one tick."""
    return {"dt": dt, "u": u}


def readings(z: np.ndarray, seen: np.ndarray) -> Iterator[dict[str, Any]]:
    """Say what update gets: one call per sensor that was seen."""
    if seen[COMPASS]:
        yield {
            "z": z[:1],
            "R": np.eye(1) * COMPASS_SIGMA**2,
            "hx": lambda x: x[2:],
        }
    if seen[GPS]:
        yield {"z": z[1:], "R": np.eye(2) * GPS_SIGMA**2, "hx": lambda x: x[:2]}


class Rover(UnscentedKalmanFilter):
    """The rover's UKF; its process noise follows dt, its compass wraps."""

    def __init__(self):
        points = MerweScaledSigmaPoints(3, alpha=0.5, beta=2.0, kappa=0.0, subtract=residual)
        super().__init__(
            3, 2, 0.02, hx=None, fx=drive, points=points, x_mean_fn=mean, residual_x=residual
        )

    def predict(self, dt: float, u: np.ndarray) -> None:
        """Predict one tick."""
        self.Q = np.diag([SPEED_SIGMA**2, SPEED_SIGMA**2, GYRO_SIGMA**2]) * dt**2
        super().predict(dt=dt, u=u)

    def update(self, z: np.ndarray, R: np.ndarray, hx: Callable) -> None:
        """Use one sensor; a compass reading is taken as its angle nearest to the heading."""
        if len(z) == 1:
            z = self.x[2:] + wrap(z - self.x[2:])
        # Drawn anew: filterpy keeps those of the last predict, stale after a first sensor.
        self.sigmas_f = self.points_fn.sigma_points(self.x, self.P)
        super().update(z, R=R, hx=hx)


def to_estimate(kf: Rover) -> tuple[np.ndarray, np.ndarray]:
    """Give the state as the scenario lays it out; its heading lies in [-pi, pi)."""
    return np.array([kf.x[0], kf.x[1], wrap(kf.x[2])]), kf.P


def make_filter() -> FilterpyTeacher:
    """Make the teacher; it may take the scenario as its argument."""
    return FilterpyTeacher(Rover(), inputs=inputs, readings=readings, to_estimate=to_estimate)
