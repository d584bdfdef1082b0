"""Check for targets one step ahead of their inputs or behind, by shifting one against the other."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.sequences import Sequences

PAST = 8
# A shift must reduce the residual to this share, and the residual must be worth it.
MAX_SHARE, MIN_RESIDUAL = 0.3, 0.02
# Behind: one single lag must explain nearly all, and the input of the same step nothing.
NEARLY_NOTHING = 0.05
COPY = 1 - 1e-3


def check_off_by_one(data: Sequences) -> list[Finding]:
    """Find targets that belong to the next input, or to the one before."""
    n, steps, _ = data.inputs.shape
    if not data.per_step or steps < 6:
        return []
    data = regression.standardise_columns(data)
    x = data.inputs[:, :, ~_shows_target(data)]
    past = min(PAST, (steps - 2) // 2, regression.MAX_COLUMNS // max(x.shape[2], 1) - 2)
    if past < 1 or not x.shape[2]:
        return []
    at = regression.thin_steps(np.arange(past, steps - 1), n)
    y = regression.at_steps(data.targets, at)
    owner = regression.sequence_index(n, at)

    def left(lags: list[int]) -> float | None:
        rows = regression.split_rows(regression.lagged(x, at, lags), y, owner, n)
        return None if rows is None else float(regression.residual(rows).mean())

    causal, ahead = left(list(range(past + 1))), left(list(range(-1, past + 1)))
    now, before = left([0]), left([1])
    if causal is None or ahead is None or now is None or before is None:
        return []
    if causal > MIN_RESIDUAL and ahead < MAX_SHARE * causal:
        return [_ahead(causal, ahead)]
    if before < NEARLY_NOTHING and now > max(0.5, before / MAX_SHARE):
        return [_behind(now, before)]
    return []


def _shows_target(data: Sequences) -> np.ndarray:
    """Return which inputs equal a target of the step before: fed-back outputs, or a forecast."""
    x, y = data.inputs[:, 1:], data.targets[:, :-1]
    x, y = (a.reshape(-1, a.shape[2]) - a.mean(axis=(0, 1)) for a in (x, y))
    size = np.linalg.norm(x, axis=0)[:, None] * np.linalg.norm(y, axis=0)[None]
    return (np.abs(x.T @ y) > COPY * np.maximum(size, 1e-30)).any(axis=1)


def _ahead(causal: float, ahead: float) -> Finding:
    return Finding(
        "error",
        "off by one",
        f"targets are one step ahead of their inputs: the past leaves {causal:.1%} of them "
        f"unexplained, with one future input it is {ahead:.1%}",
        ahead / causal,
        "pair each target with the input of its own step",
        "inputs, targets = inputs[:, 1:], targets[:, :-1]",
    )


def _behind(now: float, before: float) -> Finding:
    return Finding(
        "warning",
        "off by one",
        f"targets are one step behind their inputs: the input of the same step leaves {now:.1%} "
        f"of them unexplained, the one before alone {before:.1%}; ignore this if it is intended",
        before / now,
        "pair each target with the input of its own step",
        "inputs, targets = inputs[:, :-1], targets[:, 1:]",
    )
