"""How far back targets depend on inputs: R^2 of regressions on more and more of the past.

The lag beyond which R^2 stops rising is the memory that a task needs; a window that ends while it
still rises is too short.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.sequences import Sequences

# Gains in R^2 below these are within the scatter of the validation rows.
MIN_GAIN, GAIN_SHARE = 0.02, 0.05
RISE, COMPLETE = 0.05, 0.98
MIN_STEPS = 8
# Share of a target's variance that must lie within sequences.
MIN_VARIATION = 1e-3


class LagCurve(NamedTuple):
    """R^2 of targets predicted from inputs up to each lag, on validation sequences.

    lag: `[L]` steps back. r2: `[L]`, mean over targets. needed: the last lag that
    matters, None where the past adds nothing. best_r2: `[D]` the largest R^2 of each target.
    window_lag: the longest lag that a window holds.
    """

    lag: np.ndarray
    r2: np.ndarray
    needed: int | None
    best_r2: np.ndarray
    window_lag: int


def lag_curve(data: Sequences) -> LagCurve | None:
    """Measure the curve; None where there are too few sequences to split."""
    data = regression.standardise_columns(data)
    n, steps, features = data.inputs.shape
    longest = _longest(data)
    if longest < 1:
        return None
    lags = np.unique([*range(4), *np.geomspace(4, max(longest, 4), 14).astype(int), longest])
    lags = lags[lags <= longest]
    at = np.array([steps - 1])
    if data.per_step:
        at = regression.thin_steps(np.arange(longest, steps), n)
    x = regression.lagged(data.inputs, at, range(longest + 1))
    y = regression.at_steps(data.targets, at if data.per_step else np.array([0]))
    rows = regression.split_rows(x, y, regression.sequence_index(n, at), n)
    if rows is None:
        return None
    left, _ = regression.fit_prefixes(rows, [(lag + 1) * features for lag in lags])
    explained = np.clip(1 - left, 0, 1)
    r2 = explained.mean(axis=1)
    return LagCurve(lags, r2, _needed(lags, r2), explained.max(axis=0), steps - 1)


def _longest(data: Sequences) -> int:
    """Return the longest lag that there are columns and rows for."""
    n, steps, features = data.inputs.shape
    train = n - max(1, round(regression.VALIDATION_SHARE * n))
    for longest in range(steps - 1, 0, -1):
        columns = (longest + 1) * features
        rows = train * (steps - longest if data.per_step else 1)
        if columns <= regression.MAX_COLUMNS and rows >= regression.ROWS_PER_COLUMN * columns:
            return longest
    return 0


def _needed(lags: np.ndarray, r2: np.ndarray) -> int | None:
    gain = r2.max() - r2[0]
    if gain < MIN_GAIN:
        return None
    enough = r2 >= r2.max() - max(MIN_GAIN, GAIN_SHARE * gain)
    return int(lags[int(np.argmax(enough))])


def check_window(data: Sequences, curve: LagCurve | None) -> list[Finding]:
    """Find windows so short that R^2 still rises at their end."""
    steps = data.inputs.shape[1]
    if curve is None or not data.per_step or steps < MIN_STEPS:
        return []
    reaches = curve.lag[-1] >= 0.8 * curve.window_lag
    if not reaches or curve.r2.max() > COMPLETE or not varies_within(data).all():
        return []
    half = float(np.interp(curve.lag[-1] / 2, curve.lag, curve.r2))
    rise = float(curve.r2[-1]) - half
    late = _late_gain(data)
    if rise < RISE or late is None or late < RISE:
        return []
    return [
        Finding(
            "warning",
            "window",
            f"windows of {steps} steps are too short: the inputs of {curve.lag[-1] // 2} steps "
            f"explain {half:.0%} of the targets, those of {curve.lag[-1]} steps "
            f"{curve.r2[-1]:.0%}, and early steps of a window {late:.0%} less than late ones",
            rise,
            f"cut windows of {4 * steps} steps or more, or carry the state from window to window",
            "kalmanrnn doctor --arrays longer.npz --out doctor   # the curve must become flat",
        )
    ]


def check_window_for_lag(
    flag: str, window: int, curve: LagCurve | None, command: str
) -> list[Finding]:
    """Find gradients that flow back through fewer steps than the last lag that matters."""
    if curve is None or curve.needed is None or not 0 < window <= curve.needed:
        return []
    return [
        Finding(
            "warning",
            "window",
            f"gradients flow back through {flag} {window} steps, and targets depend on inputs "
            f"{curve.needed} steps back",
            window / curve.needed,
            "make windows longer than the last lag that matters",
            f"{command} {flag} {2 * curve.needed}",
        )
    ]


def _late_gain(data: Sequences) -> float | None:
    """Return how much more is explained of late steps than of early ones, by all of the past."""
    data = regression.standardise_columns(data)
    n, steps, features = data.inputs.shape
    quarter = max(steps // 4, 1)
    explained = []
    for last in (quarter, steps - 1):
        at = np.arange(max(0, last - 2), last + 1)
        lags = range(min(last + 1, regression.MAX_COLUMNS // features))
        x = regression.lagged(data.inputs, at, lags)
        rows = regression.split_rows(
            x, regression.at_steps(data.targets, at), regression.sequence_index(n, at), n
        )
        if rows is None:
            return None
        explained.append(float(np.clip(1 - regression.residual(rows), 0, 1).mean()))
    return explained[1] - explained[0]


def varies_within(data: Sequences) -> np.ndarray:
    """Return which targets change within sequences; a repeated label of the whole does not."""
    y = data.targets
    return y.var(axis=1).mean(axis=0) > MIN_VARIATION * np.maximum(y.var(axis=(0, 1)), 1e-30)
