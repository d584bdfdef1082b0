"""How well inputs predict targets: ridge regression on lagged inputs, validated on other sequences.

Linear, so it is fast and always converges: what it can predict, a network can too, but not the
other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.training.sequences import Sequences, standardise

MAX_COLUMNS, MAX_ROWS, MIN_ROWS = 800, 12_000, 64
# Training rows per column: with fewer the regression itself overfits.
ROWS_PER_COLUMN = 4
VALIDATION_SHARE = 0.3
RIDGES = (1e-6, 1e-4, 1e-2, 1.0)


class Rows(NamedTuple):
    """A regression's training rows and validation rows.

    x, validation_x: `[R, C]`. y, validation_y: `[R, D]`.
    """

    x: np.ndarray
    y: np.ndarray
    validation_x: np.ndarray
    validation_y: np.ndarray


def split_rows(x: np.ndarray, y: np.ndarray, sequence: np.ndarray, count: int) -> Rows | None:
    """Split rows by their sequence, the last ones for validation; None if there are too few."""
    first = count - max(1, round(VALIDATION_SHARE * count))
    validation = sequence >= first
    if count < 4 or validation.sum() < 8 or (~validation).sum() < max(MIN_ROWS, x.shape[1]):
        return None
    return Rows(x[~validation], y[~validation], x[validation], y[validation])


def residual(rows: Rows) -> np.ndarray:
    """Return the mean squared validation residual `[D]` over the training variance."""
    return fit_prefixes(rows, (rows.x.shape[1],))[0][0]


def fit_prefixes(rows: Rows, widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Fit the first `widths` columns each; return residuals in validation and training `[W, D]`.

    Of four ridges the best in validation is taken; choosing among four biases it little.
    """
    mean_x, mean_y = rows.x.mean(axis=0), rows.y.mean(axis=0)
    spread = np.where(rows.x.std(axis=0) > 1e-12, rows.x.std(axis=0), 1.0)
    x, validation_x = (rows.x - mean_x) / spread, (rows.validation_x - mean_x) / spread
    y, validation_y = rows.y - mean_y, rows.validation_y - mean_y
    gram, cross = x.T @ x, x.T @ y
    variance = np.maximum(y.var(axis=0), 1e-30)
    left, own = np.empty((2, len(widths), y.shape[1]))
    for i, width in enumerate(widths):
        errors, fits = [], []
        for ridge in RIDGES:
            system = gram[:width, :width] + ridge * len(x) * np.eye(width)
            weights = np.linalg.solve(system, cross[:width])
            errors.append(np.mean((validation_y - validation_x[:, :width] @ weights) ** 2, axis=0))
            fits.append(np.mean((y - x[:, :width] @ weights) ** 2, axis=0))
        best = np.argmin(errors, axis=0)
        left[i] = np.take_along_axis(np.array(errors), best[None], 0)[0] / variance
        own[i] = np.take_along_axis(np.array(fits), best[None], 0)[0] / variance
    return left, own


def lagged(x: np.ndarray, at: np.ndarray, lags: Sequence[int]) -> np.ndarray:
    """Lay out `x[n, t - k]` as `[N * len(at), len(lags) * F]`, lag by lag; 0 before the start."""
    parts = []
    for lag in lags:
        steps = at - lag
        inside = (steps >= 0) & (steps < x.shape[1])
        part = x[:, np.clip(steps, 0, x.shape[1] - 1)]
        parts.append(np.where(inside[:, None], part, 0.0))
    return np.concatenate(parts, axis=2).reshape(x.shape[0] * len(at), -1)


def at_steps(y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Lay out targets `[N, T, D]` at steps, as rows like `lagged`'s."""
    return y[:, at].reshape(-1, y.shape[2])


def sequence_index(count: int, at: np.ndarray) -> np.ndarray:
    """Return the sequence that each row of `lagged` belongs to."""
    return np.repeat(np.arange(count), len(at))


def thin_steps(at: np.ndarray, count: int) -> np.ndarray:
    """Thin out steps so that there are few enough rows; keep the last one."""
    most = max(1, MAX_ROWS // count)
    if len(at) <= most:
        return at
    return at[np.linspace(0, len(at) - 1, most).round().astype(int)]


def standardise_columns(data: Sequences) -> Sequences:
    """Scale all columns to mean 0 and standard deviation 1."""
    return data._replace(inputs=standardise(data.inputs), targets=standardise(data.targets))
