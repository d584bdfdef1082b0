"""Check for targets whose changes follow from the inputs, but not their level."""

from __future__ import annotations

import numpy as np

from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.lags import LagCurve, varies_within
from kalmanrnn.diagnostics.training.sequences import Sequences

PAST = 24
HORIZONS = (1, 4, 16)
# Changes must be explained by more than half, levels must not, and a last value must help a lot.
CHANGE_R2, MIN_LEVEL_LEFT, MAX_SHARE = 0.5, 0.15, 0.3
NONLINEAR = 200


def check_missing_level(data: Sequences, curve: LagCurve | None) -> list[Finding]:
    """Find targets whose changes follow from the inputs while their level does not."""
    n, steps, features = data.inputs.shape
    if not data.per_step or steps < 8:
        return []
    data = regression.standardise_columns(data)
    past = min(PAST, steps // 2, regression.MAX_COLUMNS // 2 // features)
    horizons = [h for h in HORIZONS if h <= past]
    if not horizons:
        return []
    at = regression.thin_steps(np.arange(past, steps), n)
    x = regression.lagged(data.inputs, at, range(past + 1))
    x = np.concatenate([x, _nonlinear(x), _older(data.inputs, at, past)], axis=1)
    y = regression.at_steps(data.targets, at)
    changes = [y - regression.at_steps(data.targets, at - h) for h in horizons]
    owner = regression.sequence_index(n, at)
    rows = regression.split_rows(x, np.concatenate([y, *changes], axis=1), owner, n)
    if rows is None:
        return []
    left, fitted = regression.fit_prefixes(rows, (rows.x.shape[1],))
    left, fitted = (a.reshape(1 + len(horizons), -1) for a in (left, fitted))
    size = rows.y.var(axis=0).reshape(left.shape)
    # Few sequences are few levels: a regression that fits the training rows but not the
    # validation rows has overfitted, and says nothing about the inputs.
    level_left, change_left = np.minimum(np.minimum(left[0], fitted[0]), 1.0), left[1:]
    if curve is not None:
        level_left = np.minimum(level_left, 1 - curve.best_r2)
    worth = change_left * size[1:] < MAX_SHARE * level_left * size[0]
    hidden = ((change_left < 1 - CHANGE_R2) & worth).any(axis=0)
    hidden &= (level_left > MIN_LEVEL_LEFT) & varies_within(data)
    if not hidden.any():
        return []
    worst = int(np.where(hidden, level_left, 0).argmax())
    which = ", ".join(str(i) for i in np.flatnonzero(hidden)[:5])
    return [
        Finding(
            "error",
            "feedback",
            f"the inputs do not determine the level of target {which}: {level_left[worst]:.0%} of "
            f"it is unexplained, of its changes only {change_left[:, worst].min():.0%}; it depends "
            "on the previous output or on where the sequence started",
            float(level_left[worst]),
            "turn output feedback on: make the last output an input, or let the network predict "
            "the change and add it to the last output",
            "kalmanrnn train --sim ./my_robot.py --student delta   # or gain",
        )
    ]


def _nonlinear(x: np.ndarray) -> np.ndarray:
    """Return nonlinear mixtures of columns: a nonlinear relation must not look like an offset."""
    rng = random_stream(0, Stream.DOCTOR_LEVELS)
    mixed = x @ rng.normal(0, 1, (x.shape[1], NONLINEAR)) * rng.uniform(0.3, 2.0, NONLINEAR)
    own = x[:, : NONLINEAR // 4]
    return np.concatenate([np.tanh(mixed / np.sqrt(x.shape[1])), own**2 - 1], axis=1)


def _older(x: np.ndarray, at: np.ndarray, past: int) -> np.ndarray:
    """Return sums of the inputs before the lags, back to the start, in ever wider bins."""
    total = np.concatenate([np.zeros_like(x[:, :1]), np.cumsum(x, axis=1)], axis=1)
    edges = [past]
    while edges[-1] < x.shape[1] and len(edges) < 12:
        edges.append(2 * edges[-1] + 1)
    ends = [np.clip(at - edge, 0, None) for edge in edges]
    sums = [total[:, a] - total[:, b] for a, b in zip(ends, [*ends[1:], 0 * at], strict=True)]
    return np.concatenate(sums, axis=2).reshape(len(x) * len(at), -1)
