"""How far back a target depends on inputs: predicted from ever more of the past.

The last lag after which nothing is gained is the memory that a task needs; where a window ends
while there is still something to gain, it is too short.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.sequences import Series

# Gains in R^2 below these are within what the held-out rows scatter by.
LEAST_GAIN, GAIN_SHARE = 0.02, 0.05
RISE, COMPLETE = 0.05, 0.98
SHORTEST = 8
# Share of a target's variance that must lie within sequences.
MOVES = 1e-3


class LagCurve(NamedTuple):
    """R^2 of targets predicted from inputs up to each lag, on held-out sequences.

    lag: `[L]` steps back. r2: `[L]`, mean over targets. needed: the lag that matters last, None
    where the past adds nothing that could be told. told: `[D]` the largest R^2 of each target.
    asked: the longest lag that a window holds.
    """

    lag: np.ndarray
    r2: np.ndarray
    needed: int | None
    told: np.ndarray
    asked: int


def lag_curve(series: Series) -> LagCurve | None:
    """Measure the curve; None where there are too few sequences to hold some out."""
    series = regression.scaled(series)
    n, steps, features = series.inputs.shape
    longest = _longest(series)
    if longest < 1:
        return None
    lags = np.unique([*range(4), *np.geomspace(4, max(longest, 4), 14).astype(int), longest])
    lags = lags[lags <= longest]
    at = np.array([steps - 1])
    if series.per_step:
        at = regression.thin(np.arange(longest, steps), n)
    x = regression.lagged(series.inputs, at, range(longest + 1))
    y = regression.at_steps(series.targets, at if series.per_step else np.array([0]))
    rows = regression.rows_of(x, y, regression.sequences(n, at), n)
    if rows is None:
        return None
    left, _ = regression.prefixes(rows, [(lag + 1) * features for lag in lags])
    told = np.clip(1 - left, 0, 1)
    r2 = told.mean(axis=1)
    return LagCurve(lags, r2, _needed(lags, r2), told.max(axis=0), steps - 1)


def _longest(series: Series) -> int:
    """Return the longest lag that there are columns and rows for."""
    n, steps, features = series.inputs.shape
    train = n - max(1, round(regression.HELD_SHARE * n))
    for longest in range(steps - 1, 0, -1):
        columns = (longest + 1) * features
        rows = train * (steps - longest if series.per_step else 1)
        if columns <= regression.MOST_COLUMNS and rows >= regression.ROWS_PER_COLUMN * columns:
            return longest
    return 0


def _needed(lags: np.ndarray, r2: np.ndarray) -> int | None:
    gain = r2.max() - r2[0]
    if gain < LEAST_GAIN:
        return None
    enough = r2 >= r2.max() - max(LEAST_GAIN, GAIN_SHARE * gain)
    return int(lags[int(np.argmax(enough))])


def short_window(series: Series, curve: LagCurve | None) -> list[Finding]:
    """Find windows at whose end more of the past would still tell more."""
    steps = series.inputs.shape[1]
    if curve is None or not series.per_step or steps < SHORTEST:
        return []
    reaches = curve.lag[-1] >= 0.8 * curve.asked
    if not reaches or curve.r2.max() > COMPLETE or not moving(series).all():
        return []
    half = float(np.interp(curve.lag[-1] / 2, curve.lag, curve.r2))
    rise = float(curve.r2[-1]) - half
    late = _told_late(series)
    if rise < RISE or late is None or late < RISE:
        return []
    return [
        Finding(
            "warning",
            "window",
            f"windows of {steps} steps are shorter than what matters: the inputs of "
            f"{curve.lag[-1] // 2} steps tell {half:.0%} of the targets, those of "
            f"{curve.lag[-1]} steps {curve.r2[-1]:.0%}, and early steps of a window are told "
            f"{late:.0%} worse than late ones",
            rise,
            f"cut windows of {4 * steps} steps or more, or carry the state from window to window",
            "kalmanrnn doctor --arrays longer.npz --out doctor   # the curve must become flat",
        )
    ]


def short_for_lag(flag: str, window: int, curve: LagCurve | None, command: str) -> list[Finding]:
    """Find gradients that flow back through fewer steps than the lag that matters last."""
    if curve is None or curve.needed is None or not 0 < window <= curve.needed:
        return []
    return [
        Finding(
            "warning",
            "window",
            f"gradients flow back through {flag} {window} steps, and targets depend on inputs "
            f"{curve.needed} steps back",
            window / curve.needed,
            "windows should be longer than the last lag that matters",
            f"{command} {flag} {2 * curve.needed}",
        )
    ]


def _told_late(series: Series) -> float | None:
    """Return how much better late steps are told than early ones, each by all of its past."""
    series = regression.scaled(series)
    n, steps, features = series.inputs.shape
    quarter = max(steps // 4, 1)
    told = []
    for last in (quarter, steps - 1):
        at = np.arange(max(0, last - 2), last + 1)
        lags = range(min(last + 1, regression.MOST_COLUMNS // features))
        x = regression.lagged(series.inputs, at, lags)
        rows = regression.rows_of(
            x, regression.at_steps(series.targets, at), regression.sequences(n, at), n
        )
        if rows is None:
            return None
        told.append(float(np.clip(1 - regression.residual(rows), 0, 1).mean()))
    return told[1] - told[0]


def moving(series: Series) -> np.ndarray:
    """Tell which targets change within sequences: a label of a whole one, repeated, does not."""
    y = series.targets
    return y.var(axis=1).mean(axis=0) > MOVES * np.maximum(y.var(axis=(0, 1)), 1e-30)
