"""Axes in the wrong order: time and feature, samples and time."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.sequences import Sequences

# Difference of neighbours over that of random pairs: 1 for noise, small along time.
ROUGH, SMOOTH_FEATURES, SMOOTH_SAMPLES = 0.7, 0.3, 0.5
MIN_SIZE = 8


def check_axes(data: Sequences) -> list[Finding]:
    """Find time where the features belong, or where the samples belong."""
    x, y = data.inputs, data.targets
    if data.per_step and y.shape[1] != x.shape[1] and y.shape[1] == x.shape[2]:
        what = (
            f"time and feature are swapped in the inputs: they are {x.shape}, and the targets "
            f"{y.shape} have {y.shape[1]} steps"
        )
        return [_swapped(what, float(y.shape[1]), "np.swapaxes(inputs, 1, 2)")]
    along = [roughness(x, axis) for axis in range(3)]
    if along[1] < ROUGH:
        return []
    if x.shape[2] >= MIN_SIZE and x.shape[2] > x.shape[1] and along[2] < SMOOTH_FEATURES:
        what = (
            f"time and feature look swapped: of inputs {x.shape} the last axis is smooth "
            f"(neighbours differ {along[2]:.2g} times as much as random pairs), "
            f"the middle one is not ({along[1]:.2g})"
        )
        return [_swapped(what, along[2], "inputs = np.swapaxes(inputs, 1, 2)")]
    if x.shape[0] >= MIN_SIZE and along[0] < SMOOTH_SAMPLES:
        what = (
            f"samples and time look swapped: of inputs {x.shape} the first axis is smooth "
            f"(neighbours differ {along[0]:.2g} times as much as random pairs), "
            f"the middle one is not ({along[1]:.2g})"
        )
        return [_swapped(what, along[0], "inputs = np.swapaxes(inputs, 0, 1)   # targets too")]
    return []


def roughness(a: np.ndarray, axis: int) -> float:
    """Return neighbours' differences over those of random pairs, RMS; 1 for a short axis."""
    if a.shape[axis] < 2:
        return 1.0
    step = np.sqrt(np.mean(np.diff(a, axis=axis) ** 2))
    spread = np.sqrt(2 * np.mean((a - a.mean()) ** 2))
    return float(step / spread) if spread > 0 else 1.0


def _swapped(what: str, number: float, command: str) -> Finding:
    cure = "order the axes as [sample, time, feature]"
    return Finding("error", "axes", what, number, cure, command)
