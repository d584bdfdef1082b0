"""Unit quaternions x, y, z, w as plain arrays `[4]`; all formulas from Sola (2017).

jaxlie does the same, but its products are three times slower in compiled CPU code and add eight
seconds of compilation to the simulator. A test compares these functions with scipy's.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    """Compose: rotate by b, then by a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return jnp.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def inverse(q: jax.Array) -> jax.Array:
    """Return the inverse rotation."""
    x, y, z, w = q
    return jnp.stack([-x, -y, -z, w])


def cross(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the cross product of two `[3]`."""
    return jnp.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def rotate(q: jax.Array, v: jax.Array) -> jax.Array:
    """Rotate a vector `[3]`."""
    twice = 2.0 * cross(q[:3], v)
    return v + q[3] * twice + cross(q[:3], twice)


def matrix(q: jax.Array) -> jax.Array:
    """Return the rotation matrix `[3, 3]`."""
    x, y, z, w = q
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row) for row in rows])


@jax.custom_jvp
def exp(d: jax.Array) -> jax.Array:
    """Return the quaternion of a rotation vector `[3]` [rad].

    By series in the half angle, reduced to a quarter turn: XLA on CPU evaluates sine and cosine
    number by number, which would take most of a UKF's time.
    """
    square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    far = square > jnp.pi**2
    angle = jnp.sqrt(jnp.where(far, square, 1.0))
    turns = jnp.round(angle / (2 * jnp.pi))
    scale = jnp.where(far, 1 - 2 * jnp.pi * turns / angle, 1.0)
    half_square = 0.25 * square * scale * scale
    half_sinc = 0.5 * scale * _series(SINC, half_square)
    cosine = _series(COS, half_square)
    q = jnp.stack([half_sinc * d[0], half_sinc * d[1], half_sinc * d[2], cosine])
    # XLA then computes this once, not again for each use.
    return jax.lax.optimization_barrier(q)


@jax.custom_jvp
def log(q: jax.Array) -> jax.Array:
    """Return the rotation vector `[3]` [rad], at most pi long; by series, as `exp`."""
    x, y, z, w = q
    sign = jnp.where(w < 0, -1.0, 1.0).astype(q.dtype)
    below = 1 + sign * w
    # Tangents of a quarter and of an eighth of the angle, squared: at most 1 and 0.18.
    quarter = (x * x + y * y + z * z) / (below * below)
    root = 1 + jnp.sqrt(1 + quarter)
    factor = 8 * sign * _series(ARCTAN, quarter / (root * root)) / (below * root)
    return jnp.stack([factor * x, factor * y, factor * z])


# Enough terms for float64 at half a turn.
SINC = [(-1) ** k / math.factorial(2 * k + 1) for k in range(11)]
COS = [(-1) ** k / math.factorial(2 * k) for k in range(12)]
ARCTAN = [(-1) ** k / (2 * k + 1) for k in range(20)]


def _series(coefficients: list[float], x: jax.Array) -> jax.Array:
    value = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        value = value * x + c
    return value


def _exp_by_sine(d: jax.Array) -> jax.Array:
    square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    # Below this the series is exact in float64 and the division would be 0 / 0.
    small = square < 1e-6
    angle = jnp.sqrt(jnp.where(small, 1.0, square))
    half_sinc = jnp.where(small, 0.5 - square / 48 + square**2 / 3840, jnp.sin(0.5 * angle) / angle)
    w = jnp.where(small, 1 - square / 8 + square**2 / 384, jnp.cos(0.5 * angle))
    q = jnp.stack([half_sinc * d[0], half_sinc * d[1], half_sinc * d[2], w])
    return jax.lax.optimization_barrier(q)


def _log_by_arctan(q: jax.Array) -> jax.Array:
    x, y, z, w = jnp.where(q[3] < 0, -q, q)
    square = x * x + y * y + z * z
    small = square < 1e-6
    sine = jnp.sqrt(jnp.where(small, 1.0, square))
    # asin(s) / s for small sines; w is then sqrt(1 - s^2).
    series = 2 + square / 3 + 3 * square**2 / 20
    factor = jnp.where(small, series, 2 * jnp.arctan2(sine, w) / sine)
    return jnp.stack([factor * x, factor * y, factor * z])


# Derivatives use sine and arctangent: XLA repeats a series for each column, and a Jacobian would
# take twice as long.
exp.defjvp(lambda primals, tangents: jax.jvp(_exp_by_sine, primals, tangents))
log.defjvp(lambda primals, tangents: jax.jvp(_log_by_arctan, primals, tangents))


def normalise(q: jax.Array) -> jax.Array:
    """Scale to unit length."""
    return q / jnp.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])


def from_axis_angle(axis: int, angle: jax.Array) -> jax.Array:
    """Return the quaternion of a rotation [rad] about axis 0, 1 or 2."""
    parts = [jnp.zeros_like(angle)] * 3
    parts[axis] = jnp.sin(0.5 * angle)
    return jnp.stack([*parts, jnp.cos(0.5 * angle)])


def yaw(q: jax.Array) -> jax.Array:
    """Return the heading of the body's x axis [rad], from east towards north."""
    x, y, z, w = q
    return jnp.arctan2(2 * (x * y + z * w), 1 - 2 * (y * y + z * z))
