"""How well inputs tell targets: ridge regression on lagged inputs, judged on held-out sequences.

Linear, so that it is fast and cannot fail to train: what it can tell, a network can too. What it
cannot tell a network may still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.training.sequences import Series, standard

MOST_COLUMNS, MOST_ROWS, FEWEST_ROWS = 800, 12_000, 64
# Training rows for each column: with fewer the regression itself overfits.
ROWS_PER_COLUMN = 4
HELD_SHARE = 0.3
RIDGES = (1e-6, 1e-4, 1e-2, 1.0)


class Rows(NamedTuple):
    """A regression's rows, training ones and held-out ones.

    x, held_x: `[R, C]`. y, held_y: `[R, D]`.
    """

    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray


def rows_of(x: np.ndarray, y: np.ndarray, sequence: np.ndarray, count: int) -> Rows | None:
    """Divide rows by the sequence that each belongs to, the last ones held out; None if too few."""
    first_held = count - max(1, round(HELD_SHARE * count))
    held = sequence >= first_held
    if count < 4 or held.sum() < 8 or (~held).sum() < max(FEWEST_ROWS, x.shape[1]):
        return None
    return Rows(x[~held], y[~held], x[held], y[held])


def residual(rows: Rows) -> np.ndarray:
    """Return the held-out mean square of what ridge leaves, `[D]`, over the training variance."""
    return prefixes(rows, (rows.x.shape[1],))[0][0]


def prefixes(rows: Rows, widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Fit the first `widths` columns each; return what is left, held out and in training `[W, D]`.

    The ridge that does best on the held-out rows is taken, of four: they differ by far more than
    choosing among four can flatter.
    """
    mean_x, mean_y = rows.x.mean(axis=0), rows.y.mean(axis=0)
    spread = np.where(rows.x.std(axis=0) > 1e-12, rows.x.std(axis=0), 1.0)
    x, held_x = (rows.x - mean_x) / spread, (rows.held_x - mean_x) / spread
    y, held_y = rows.y - mean_y, rows.held_y - mean_y
    gram, cross = x.T @ x, x.T @ y
    variance = np.maximum(y.var(axis=0), 1e-30)
    left, own = np.empty((2, len(widths), y.shape[1]))
    for i, width in enumerate(widths):
        errors, fits = [], []
        for ridge in RIDGES:
            system = gram[:width, :width] + ridge * len(x) * np.eye(width)
            weights = np.linalg.solve(system, cross[:width])
            errors.append(np.mean((held_y - held_x[:, :width] @ weights) ** 2, axis=0))
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


def sequences(count: int, at: np.ndarray) -> np.ndarray:
    """Return the sequence that each row of `lagged` belongs to."""
    return np.repeat(np.arange(count), len(at))


def thin(at: np.ndarray, count: int) -> np.ndarray:
    """Keep so many of the steps that the rows stay few; the last one always."""
    most = max(1, MOST_ROWS // count)
    if len(at) <= most:
        return at
    return at[np.linspace(0, len(at) - 1, most).round().astype(int)]


def scaled(series: Series) -> Series:
    """Bring a series to mean 0 and spread 1, column by column."""
    return series._replace(inputs=standard(series.inputs), targets=standard(series.targets))
