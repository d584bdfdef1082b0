"""imu_gps in plain numpy with filterpy's filters, as a competent user writes it.

The error state is filterpy's `x`; the full state is kept beside it, as `State` below. One state
at a time: filterpy calls `fx` and `hx` for each sigma point.
"""

from __future__ import annotations

from math import cos, sin, sqrt

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter, MerweScaledSigmaPoints, UnscentedKalmanFilter

GRAVITY = np.array([0.0, 0.0, -9.80665])


def multiply(a, b):
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return np.array(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def exp(d):
    x, y, z = d
    angle = sqrt(x * x + y * y + z * z)
    s = 0.5 if angle < 1e-9 else sin(0.5 * angle) / angle
    return np.array([s * x, s * y, s * z, cos(0.5 * angle)])


def log(q):
    x, y, z, w = q if q[3] >= 0 else -q
    s = sqrt(x * x + y * y + z * z)
    return (
        2.0 * q[:3] * (1 if q[3] >= 0 else -1)
        if s < 1e-9
        else (2 * np.arctan2(s, w) / s * np.array([x, y, z]))
    )


def matrix(q):
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def process(x, u, dt):
    turn = (u[:3] - x[10:13]) * dt
    accel = matrix(multiply(x[:4], exp(0.5 * turn))) @ (u[3:] - x[13:16]) + GRAVITY
    after = x.copy()
    q = multiply(x[:4], exp(turn))
    after[:4] = q / sqrt(q @ q)
    after[4:7] += accel * dt
    after[7:10] += x[4:7] * dt + 0.5 * accel * dt**2
    return after


def retract(x, d):
    after = x.copy()
    q = multiply(exp(d[:3]), x[:4])
    after[:4] = q / sqrt(q @ q)
    after[4:] += d[3:]
    return after


def difference(y, x):
    back = x[:4] * np.array([-1.0, -1.0, -1.0, 1.0])
    return np.concatenate([log(multiply(y[:4], back)), y[4:] - x[4:]])


def slope(x, u, dt):
    """F of the error state, first order in dt (Sola 2017, section 7.2)."""
    r = matrix(multiply(x[:4], exp(0.5 * (u[:3] - x[10:13]) * dt)))
    ax, ay, az = r @ (u[3:] - x[13:16]) * dt
    f = np.eye(15)
    f[0:3, 9:12] = -r * dt
    f[3:6, 0:3] = [[0, az, -ay], [-az, 0, ax], [ay, -ax, 0]]
    f[3:6, 12:15] = -r * dt
    f[6:9, 3:6] = np.eye(3) * dt
    return f


def run_ukf(x, cov, packets, sigma, variances):
    """Run filterpy's UKF over events; return states and covariances after each."""
    points = MerweScaledSigmaPoints(15, 0.5, 2.0, 0.0)
    kf = UnscentedKalmanFilter(15, 3, 0.01, hx=None, fx=None, points=points)
    kf.P, kf.R, zero = cov.copy(), np.diag(sigma**2), np.zeros(15)
    says = []
    for z, seen, us, dts in zip(packets.z, packets.seen, packets.u, packets.dt, strict=True):
        if seen[0]:
            kf.sigmas_f = points.sigma_points(zero, kf.P)
            kf.update(z, hx=lambda d, x=x: x[7:10] + d[6:9])
            x, kf.x = retract(x, kf.x), zero
        says.append((x, kf.P.copy()))
        for u, dt in zip(us, dts, strict=True):
            centre = process(x, u, dt)
            kf.Q = np.diag(variances * dt)

            def fx(d, dt, x=x, u=u, centre=centre):
                return difference(process(retract(x, d), u, dt), centre)

            kf.predict(dt=dt, fx=fx)
            x, kf.x = retract(centre, kf.x), zero
    return [np.stack(a) for a in zip(*says, strict=True)]


def run_ekf(x, cov, packets, sigma, variances):
    """Run filterpy's EKF over events; return states and covariances after each."""
    kf = ExtendedKalmanFilter(15, 3)
    kf.x, kf.P, kf.R = np.zeros(15), cov.copy(), np.diag(sigma**2)
    h = np.eye(3, 15, 6)
    says = []
    for z, seen, us, dts in zip(packets.z, packets.seen, packets.u, packets.dt, strict=True):
        if seen[0]:
            kf.update(z, lambda _: h, lambda d, x=x: x[7:10] + d[6:9])
            x, kf.x = retract(x, kf.x), np.zeros(15)
        says.append((x, kf.P.copy()))
        for u, dt in zip(us, dts, strict=True):
            kf.F, kf.Q = slope(x, u, dt), np.diag(variances * dt)
            kf.predict()
            x = process(x, u, dt)
    return [np.stack(a) for a in zip(*says, strict=True)]
