"""How robots move: smooth random splines, known in closed form with their derivatives.

Truth made of them needs no integration of the filter's own model, so that its `f` is only an
approximation of the simulated world. Splines are sampled at half ticks: even samples are tick
times, odd ones midpoints, where a sensor is sampled.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import BSpline

DEGREE = 5


def random_spline(key: jax.Array, ticks: int, dt: float, knot_s: float) -> jax.Array:
    """Draw a smooth random function of unit variance: `[3, 2 * ticks + 1]` at half ticks.

    A uniform quintic B-spline of white noise, one knot every `knot_s` seconds; the rows are its
    value and its first and second time derivative.
    """
    per_knot = max(1, round(knot_s / dt))
    spans = ticks // per_knot + 1
    weights = _weights(2 * per_knot, per_knot * dt)
    knots = jax.random.normal(key, (spans + DEGREE,))
    near = jnp.stack([knots[i : i + spans] for i in range(DEGREE + 1)])
    values = jnp.einsum("onk,ks->osn", weights, near)
    return values.reshape(3, -1)[:, : 2 * ticks + 1]


def _weights(samples: int, span_s: float) -> np.ndarray:
    """Return `[3, samples, DEGREE + 1]`: each nearby knot's share of value and derivatives."""
    at = np.arange(samples) / samples
    basis = BSpline.basis_element(np.arange(DEGREE + 2) - DEGREE, extrapolate=False)
    columns = [
        [
            np.nan_to_num(basis.derivative(order)(at - i) if order else basis(at - i))
            / span_s**order
            for i in range(DEGREE + 1)
        ]
        for order in range(3)
    ]
    weights = np.moveaxis(np.array(columns), 1, 2)
    return weights / np.sqrt(np.mean(np.sum(weights[0] ** 2, axis=-1)))


def smoothstep(x: jax.Array) -> jax.Array:
    """Rise from 0 to 1 between x = 0 and 1 with two continuous derivatives."""
    x = jnp.clip(x, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)


def integrate(rate: jax.Array, dt: float) -> jax.Array:
    """Integrate samples at half ticks `[n, 2 * ticks + 1]` to `[n, ticks + 1]`, from 0.

    Simpson's rule over each tick; its error of order dt^5 is far below any sensor's.
    """
    steps = (rate[:, :-1:2] + 4 * rate[:, 1::2] + rate[:, 2::2]) * (dt / 6)
    return jnp.concatenate([jnp.zeros_like(steps[:, :1]), jnp.cumsum(steps, axis=1)], axis=1)
