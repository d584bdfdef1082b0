"""Check for numbers that grow without bound, such as absolute positions."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.sequences import Sequences

# A straight line from 0 grows by 6.1 from the first quarter of a sequence to the last, a random
# walk by 2.6. What settles, or jumps once, grows by less than a fifth between some quarters.
GROWS, GOES_ON = 4.0, 1.2
# One path is not an average over many, and wanders more.
GROWS_OVER_SAMPLES = 10.0
EXPLODES = 100.0


def check_growth(data: Sequences) -> list[Finding]:
    """Find columns that grow from quarter to quarter of the sequences, or from one to the next."""
    found = []
    for name, a in (("inputs", data.inputs), ("targets", data.targets)):
        if a.shape[1] >= 4:
            found += _check_axis(name, a, 1, GROWS)
        if not found and len(a) >= 16:
            found += _check_axis(name, a, 0, GROWS_OVER_SAMPLES)
    return found


def _quarters(a: np.ndarray, axis: int) -> np.ndarray:
    """Return the size of each column `[4, D]` in the quarters of an axis; from the start's mean."""
    a = a - a[:, :1].mean(axis=0) if axis == 1 else a
    parts = np.array_split(a, 4, axis=axis)
    # Medians: a few outages or events must not look like growth.
    return np.stack([np.median(np.abs(p), axis=(0, 1)) for p in parts])


def _check_axis(name: str, a: np.ndarray, axis: int, least: float) -> list[Finding]:
    size = _quarters(a, axis)
    ratio = size[3] / np.maximum(size[0], 1e-12 * size[3] + 1e-300)
    grows = (size[1:] > GOES_ON * size[:-1]).all(axis=0) & (ratio > least)
    if not grows.any():
        return []
    worst = int(np.where(grows, ratio, 0).argmax())
    others = f" and {grows.sum() - 1} more" if grows.sum() > 1 else ""
    explodes = ratio[worst] > EXPLODES
    cure = "give the network differences, let it predict differences, and sum them outside"
    command = f"{name} = np.diff({name}, axis={axis})"
    if explodes:
        cure = "use logarithms or ratios of neighbours: a network does not extrapolate"
    if explodes and (a[..., worst] > 0).all():
        command = f"{name} = np.diff(np.log({name}), axis={axis})"
    where = "through each sequence" if axis else "from sequence to sequence"
    return [
        Finding(
            "error" if explodes or name == "targets" else "warning",
            "growth",
            f"{name} column {worst}{others} grows {where}: {ratio[worst]:.3g} times as large in "
            "the last quarter as in the first, and still growing",
            float(ratio[worst]),
            cure,
            command,
        )
    ]
