"""Held-out sequences that were trained on: identical ones, or stretches of them."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.sequences import Series

STRETCH = 8
# Values that differ in a stretch: without them zeros and labels would match by themselves.
DISTINCT = 6
# A stretch in this share of the training sequences is a pattern of the data, not a leak.
OFTEN = 0.25
# Stretches that are looked at: a few seconds' worth.
MOST = 300_000


def leak(train: Series, held: Series) -> list[Finding]:
    """Find stretches of held-out inputs among the training inputs, value for value."""
    length = min(STRETCH, train.inputs.shape[1], held.inputs.shape[1])
    if length < 2:
        return []
    own = _stretches(train.inputs, length, every=1)
    seen = Counter(chain.from_iterable(own))
    often = max(2, OFTEN * len(own))
    known = {stretch for stretch, count in seen.items() if count <= often}
    shared = [bool(known & own) for own in _stretches(held.inputs, length, every=length)]
    share = float(np.mean(shared))
    if not share:
        return []
    return [
        Finding(
            "error",
            "leak",
            f"{sum(shared)} of {len(shared)} held-out sequences share stretches of {length} steps "
            "with the training sequences, value for value: what is held out was trained on",
            share,
            "split by drive or by time first, with a gap, and only then cut windows",
            "train, held = series[:-n_held], series[-n_held:]   # then cut each into windows",
        )
    ]


def _stretches(x: np.ndarray, length: int, *, every: int) -> list[set[bytes]]:
    """Return, for each sequence, its stretches that cannot be alike by chance."""
    n, steps, _ = x.shape
    x = np.ascontiguousarray(x, np.float32)
    skip = max(1, n * steps // (every * MOST))
    found = []
    for sequence in x[::skip]:
        own = set()
        for start in range(0, steps - length + 1, every):
            part = sequence[start : start + length]
            if max(len(set(c)) for c in part.T.tolist()) >= min(DISTINCT, length):
                own.add(part.tobytes())
        found.append(own)
    return found
