"""Overlapping Allan deviation of a sensor at rest, and a noise model fitted to it; numpy.

After IEEE Std 952-1997, annex C. As in kalibr, a noise density N is the deviation at 1 s on the
slope -1/2, a random walk K the one at 3 s on the slope +1/2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

# The longest averages are a ninth of the log: fewer clusters say next to nothing.
MIN_CLUSTERS = 9
# Filters inside the IMU bend the curve at the first few samples.
MIN_SAMPLES = 10
POINTS_PER_DECADE = 12
# Relative; real sensors follow no model more closely. Without it the shortest averages dominate.
MODEL_ERROR = 0.05
# Of a random walk fitted to one axis: the relative error is this times sqrt(tau_c / T), where
# both noises weigh the same at tau_c. Measured on simulated noise, T from 600 s to 4 h.
WALK_ERROR = 1.3
MAX_WALK_ERROR = 0.3


class AllanCurve(NamedTuple):
    """An Allan deviation: averaging times `[m]` [s], samples in each, deviations `[m, c]`."""

    tau: np.ndarray
    samples: np.ndarray
    deviation: np.ndarray


class NoiseFit(NamedTuple):
    """The noise model of `[c]` axes, in the sensor's unit U.

    density: N [U/sqrt(Hz)]. instability: B, the deviation of the flat part [U], 0 if there is none.
    walk: K [U/s/sqrt(Hz)]. walk_error: relative standard error of the mean walk; inf at 0.
    walk_observable: whether the log is long enough for it. misfit: the largest relative error of
    the fit where the curve is known to 5 %.
    """

    density: np.ndarray
    instability: np.ndarray
    walk: np.ndarray
    walk_error: float
    walk_observable: bool
    misfit: float


def allan_deviation(x: np.ndarray, rate_hz: float) -> AllanCurve:
    """Return the overlapping deviation of `[n, c]` readings at about twelve times per decade."""
    n = len(x)
    longest = n // MIN_CLUSTERS
    if longest < 2 * MIN_SAMPLES:
        raise ValueError(
            f"an Allan deviation needs {2 * MIN_SAMPLES * MIN_CLUSTERS} readings, got {n}"
        )
    steps = int(POINTS_PER_DECADE * np.log10(longest)) + 1
    samples = np.unique(np.rint(np.geomspace(1, longest, steps)).astype(int))
    deviation = np.stack([_axis_deviation(column, rate_hz, samples) for column in x.T], axis=-1)
    return AllanCurve(samples / rate_hz, samples, deviation)


def fit_noise(curve: AllanCurve, seconds: float) -> NoiseFit:
    """Fit white noise and a random walk to a curve, and flicker noise where those fail."""
    parts = np.stack([_fit_axis(curve, axis, seconds) for axis in range(curve.deviation.shape[1])])
    density, instability, walk = np.sqrt(parts).T
    mean = float(walk.mean())
    error = WALK_ERROR * np.sqrt(np.sqrt(3) * density.mean() / mean / seconds) if mean else np.inf
    tau = curve.tau[-1]
    model = model_variance(parts, np.array([tau]))[0].mean()
    observable = bool(error <= MAX_WALK_ERROR and (parts[:, 2].mean() * tau / 3) >= 0.5 * model)
    error, misfit = float(error / np.sqrt(len(parts))), _misfit(curve, parts, seconds)
    return NoiseFit(density, instability, walk, error, observable, misfit)


def _misfit(curve: AllanCurve, parts: np.ndarray, seconds: float) -> float:
    # Half the relative error of a variance: sqrt(3 tau / T) / 2 below 5 %.
    known = (curve.samples >= MIN_SAMPLES) & (curve.tau < seconds / 300)
    if not known.any():
        return 0.0
    model = np.sqrt(model_variance(parts, curve.tau[known]))
    return float(np.abs(np.log(curve.deviation[known] / model)).max())


def model_variance(parts: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Return the Allan variance `[m, c]` of `[c, 3]` N^2, B^2, K^2 at times `[m]`."""
    return _terms(tau) @ parts.T


def fitted_deviation(noise: NoiseFit, tau: np.ndarray) -> np.ndarray:
    """Return the deviation `[m, c]` that the fit gives."""
    parts = np.stack([noise.density, noise.instability, noise.walk], axis=-1) ** 2
    return np.sqrt(model_variance(parts, tau))


def _axis_deviation(x: np.ndarray, rate_hz: float, samples: np.ndarray) -> np.ndarray:
    """Return deviations `[m]` of one axis; second differences of its integral."""
    integral = np.concatenate([[0.0], np.cumsum(x - x.mean())]) / rate_hz
    deviation = np.empty(len(samples))
    for i, m in enumerate(samples):
        second = integral[2 * m :] + integral[: -2 * m]
        second -= 2 * integral[m:-m]
        second *= second
        deviation[i] = np.sqrt(0.5 * second.mean()) * rate_hz / m
    return deviation


def _terms(tau: np.ndarray) -> np.ndarray:
    return np.stack([1 / tau, np.ones_like(tau), tau / 3], axis=-1)


def _fit_axis(curve: AllanCurve, axis: int, seconds: float) -> np.ndarray:
    """Return N^2, B^2, K^2 of one axis, by least squares in relative error.

    White noise and a random walk make a valley between them too, so flicker noise is added
    only if the two miss a point by more than three standard errors.
    """
    used = curve.samples >= MIN_SAMPLES
    tau, variance = curve.tau[used], curve.deviation[used, axis] ** 2
    # Of a variance from T / tau averages, widened for their overlap.
    error = np.sqrt(3 * tau / seconds + MODEL_ERROR**2)
    parts = np.zeros(3)
    parts[[0, 2]], off = _least_squares(_terms(tau)[:, [0, 2]], variance, error)
    if np.abs(off).max() > 3:
        parts, _ = _least_squares(_terms(tau), variance, error)
    return parts


def _least_squares(
    terms: np.ndarray, variance: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit variances by non-negative terms; return the fit and its residuals.

    Errors are relative to the model, iterated until it converges: relative to the measured
    values, points that happen to be low would pull hardest.
    """
    model, parts = variance, np.zeros(terms.shape[1])
    for _ in range(50):
        weight = 1 / (model * error)
        # Columns of one size: nnls has absolute tolerances.
        weighted = terms * weight[:, None]
        size = np.linalg.norm(weighted, axis=0)
        parts = nnls(weighted / size, variance * weight)[0] / size
        before, model = model, terms @ parts
        if np.allclose(model, before, rtol=1e-6, atol=0):
            break
    return parts, (variance / model - 1) / error
