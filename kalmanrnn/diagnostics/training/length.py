"""Check for one target behind very many steps: the gradient has too far to go."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.lags import LagCurve
from kalmanrnn.diagnostics.training.sequences import MAX_STEPS, Sequences

# A recurrent network learns through so many steps easily.
MAX_AVERAGES = 64
# How much more averages along the whole must explain than the last steps.
MIN_GAIN = 0.1


def check_length(data: Sequences, curve: LagCurve | None, *, stride: int = 1) -> list[Finding]:
    """Find one target behind very many steps that averages along the way predict better.

    stride: steps that strided convolutions in front of the network merge into one.
    """
    n, steps, features = data.inputs.shape
    if data.per_step or steps <= MAX_STEPS * stride:
        return []
    count = min(MAX_AVERAGES, regression.MAX_COLUMNS // features)
    if count < 2:
        return []
    x = averages(data.inputs, count).reshape(n, -1)
    rows = regression.split_rows(x, data.targets[:, 0], np.arange(n), n)
    if rows is None:
        return []
    whole = float(np.clip(1 - regression.residual(rows), 0, 1).mean())
    last = float(curve.r2.max()) if curve is not None else 0.0
    if whole - last < MIN_GAIN:
        return []
    last_steps = int(curve.lag[-1]) + 1 if curve is not None else 0
    return [
        Finding(
            "warning",
            "length",
            f"one target comes after {steps:,} steps and depends on far more than the last: "
            f"{count} averages along the whole explain {whole:.0%} of the targets, the last "
            f"{last_steps} steps {last:.0%}; gradients have a long way to go",
            whole - last,
            "shorten it: strided convolutions in front, averages over neighbours, both directions "
            "where the whole sequence is known",
            "kalmanrnn train --sim spectra   # its network is one that does",
        )
    ]


def averages(x: np.ndarray, count: int) -> np.ndarray:
    """Average neighbouring steps of `[N, T, F]` into `[N, count, F]`."""
    edges = np.linspace(0, x.shape[1], count + 1).astype(int)
    sums = np.add.reduceat(x, edges[:-1], axis=1)
    return sums / np.diff(edges)[:, None]
