"""A target one step ahead of its input, or one behind: found by shifting one against the other."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.sequences import Series

PAST = 8
# A step to the right must leave less than this share of what was left, and something must be left.
SHARE, LEAST_LEFT = 0.3, 0.02
# Behind: one single lag must tell nearly all, and the input of the step itself nothing.
NEARLY_ALL = 0.05
COPY = 1 - 1e-3


def off_by_one(series: Series) -> list[Finding]:
    """Find targets that belong to the next input, or to the one before."""
    n, steps, _ = series.inputs.shape
    if not series.per_step or steps < 6:
        return []
    series = regression.scaled(series)
    x = series.inputs[:, :, ~_shown_later(series)]
    past = min(PAST, (steps - 2) // 2, regression.MOST_COLUMNS // max(x.shape[2], 1) - 2)
    if past < 1 or not x.shape[2]:
        return []
    at = regression.thin(np.arange(past, steps - 1), n)
    y = regression.at_steps(series.targets, at)
    owner = regression.sequences(n, at)

    def left(lags: list[int]) -> float | None:
        rows = regression.rows_of(regression.lagged(x, at, lags), y, owner, n)
        return None if rows is None else float(regression.residual(rows).mean())

    causal, ahead = left(list(range(past + 1))), left(list(range(-1, past + 1)))
    now, before = left([0]), left([1])
    if causal is None or ahead is None or now is None or before is None:
        return []
    if causal > LEAST_LEFT and ahead < SHARE * causal:
        return [_ahead(causal, ahead)]
    if before < NEARLY_ALL and now > max(0.5, before / SHARE):
        return [_behind(now, before)]
    return []


def _shown_later(series: Series) -> np.ndarray:
    """Tell which input columns show a target one step later: outputs fed back, or a forecast."""
    x, y = series.inputs[:, 1:], series.targets[:, :-1]
    x, y = (a.reshape(-1, a.shape[2]) - a.mean(axis=(0, 1)) for a in (x, y))
    size = np.linalg.norm(x, axis=0)[:, None] * np.linalg.norm(y, axis=0)[None]
    return (np.abs(x.T @ y) > COPY * np.maximum(size, 1e-30)).any(axis=1)


def _ahead(causal: float, ahead: float) -> Finding:
    return Finding(
        "error",
        "off by one",
        f"targets are one step ahead of their inputs: the past leaves {causal:.1%} of them "
        f"untold, one input of the future only {ahead:.1%}",
        ahead / causal,
        "pair each target with the input of its own step",
        "inputs, targets = inputs[:, 1:], targets[:, :-1]",
    )


def _behind(now: float, before: float) -> Finding:
    return Finding(
        "warning",
        "off by one",
        f"targets are one step behind their inputs: the input of the same step leaves {now:.1%} "
        f"of them untold, the one before alone {before:.1%}; unless that delay is meant",
        before / now,
        "pair each target with the input of its own step",
        "inputs, targets = inputs[:, :-1], targets[:, 1:]",
    )
