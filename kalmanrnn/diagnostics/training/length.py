"""Sequences so long that what decides lies far before the answer: shorten the way to it."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.lags import LagCurve
from kalmanrnn.diagnostics.training.sequences import MOST_STEPS, Series

# As many steps as a recurrent network learns through without effort.
AVERAGES = 64
# How much more averages along the whole must tell than the last steps do.
MORE = 0.1


def too_long(series: Series, curve: LagCurve | None, *, stride: int = 1) -> list[Finding]:
    """Find one answer behind very many steps that averages along the way tell better.

    stride: so many steps become one in front of the network, by strided convolutions.
    """
    n, steps, features = series.inputs.shape
    if series.per_step or steps <= MOST_STEPS * stride:
        return []
    count = min(AVERAGES, regression.MOST_COLUMNS // features)
    if count < 2:
        return []
    x = averages(series.inputs, count).reshape(n, -1)
    rows = regression.rows_of(x, series.targets[:, 0], np.arange(n), n)
    if rows is None:
        return []
    whole = float(np.clip(1 - regression.residual(rows), 0, 1).mean())
    last = float(curve.r2.max()) if curve is not None else 0.0
    if whole - last < MORE:
        return []
    looked = int(curve.lag[-1]) + 1 if curve is not None else 0
    return [
        Finding(
            "warning",
            "length",
            f"one answer comes behind {steps:,} steps, and it depends on far more than the last: "
            f"{count} averages along the whole tell {whole:.0%} of the targets, the last {looked} "
            f"steps {last:.0%}; gradients have a long way",
            whole - last,
            "shorten the way: strided convolutions in front, averages over neighbours, and both "
            "directions where the whole is there",
            "kalmanrnn train --sim spectra   # its network is one that does",
        )
    ]


def averages(x: np.ndarray, count: int) -> np.ndarray:
    """Average neighbouring steps of `[N, T, F]` into `[N, count, F]`."""
    edges = np.linspace(0, x.shape[1], count + 1).astype(int)
    sums = np.add.reduceat(x, edges[:-1], axis=1)
    return sums / np.diff(edges)[:, None]
