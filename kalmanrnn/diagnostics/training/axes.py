"""Axes in the wrong order: time and feature, samples and time."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.sequences import Series

# Difference of neighbours over that of strangers: 1 for noise, small along what is time.
ROUGH, SMOOTH_FEATURES, SMOOTH_SAMPLES = 0.7, 0.3, 0.5
FEWEST = 8


def axes(series: Series) -> list[Finding]:
    """Find time where the features belong, or where the samples belong."""
    x, y = series.inputs, series.targets
    if series.per_step and y.shape[1] != x.shape[1] and y.shape[1] == x.shape[2]:
        told = (
            f"time and feature are swapped in the inputs: they are {x.shape}, and the targets "
            f"{y.shape} have {y.shape[1]} steps"
        )
        return [_swapped(told, float(y.shape[1]), "np.swapaxes(inputs, 1, 2)")]
    along = [roughness(x, axis) for axis in range(3)]
    if along[1] < ROUGH:
        return []
    if x.shape[2] >= FEWEST and x.shape[2] > x.shape[1] and along[2] < SMOOTH_FEATURES:
        told = (
            f"time and feature look swapped: of inputs {x.shape} the last axis is smooth "
            f"(neighbours differ {along[2]:.2g} as much as strangers), the middle one is not "
            f"({along[1]:.2g})"
        )
        return [_swapped(told, along[2], "inputs = np.swapaxes(inputs, 1, 2)")]
    if x.shape[0] >= FEWEST and along[0] < SMOOTH_SAMPLES:
        told = (
            f"samples and time look swapped: of inputs {x.shape} the first axis is smooth "
            f"(neighbours differ {along[0]:.2g} as much as strangers), the middle one is not "
            f"({along[1]:.2g})"
        )
        return [_swapped(told, along[0], "inputs = np.swapaxes(inputs, 0, 1)   # targets too")]
    return []


def roughness(a: np.ndarray, axis: int) -> float:
    """Return the size of neighbours' differences over that of strangers'; 1 for a short axis."""
    if a.shape[axis] < 2:
        return 1.0
    step = np.sqrt(np.mean(np.diff(a, axis=axis) ** 2))
    spread = np.sqrt(2 * np.mean((a - a.mean()) ** 2))
    return float(step / spread) if spread > 0 else 1.0


def _swapped(told: str, number: float, command: str) -> Finding:
    cure = "the order is [sample, time, feature]"
    return Finding("error", "axes", told, number, cure, command)
