"""Validation sequences that are in the training set: whole, or stretches of them."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.sequences import Sequences

MIN_LENGTH = 8
# Different values in a stretch: else zeros and labels would match by chance.
MIN_DISTINCT = 6
# A stretch in this share of the training sequences is a pattern of the data, not a leak.
COMMON_SHARE = 0.25
# Stretches compared at most: a few seconds' worth.
MAX_STRETCHES = 300_000


def check_leak(train: Sequences, validation: Sequences) -> list[Finding]:
    """Find stretches of validation inputs among the training inputs, value for value."""
    length = min(MIN_LENGTH, train.inputs.shape[1], validation.inputs.shape[1])
    if length < 2:
        return []
    own = _stretches(train.inputs, length, every=1)
    seen = Counter(chain.from_iterable(own))
    often = max(2, COMMON_SHARE * len(own))
    known = {stretch for stretch, count in seen.items() if count <= often}
    shared = [bool(known & own) for own in _stretches(validation.inputs, length, every=length)]
    share = float(np.mean(shared))
    if not share:
        return []
    return [
        Finding(
            "error",
            "leak",
            f"{sum(shared)} of {len(shared)} validation sequences share stretches of {length} "
            "steps with the training sequences, value for value: the validation set was trained on",
            share,
            "split by drive or by time first, with a gap, and only then cut windows",
            "train, validation = series[:-n], series[-n:]   # then cut each into windows",
        )
    ]


def _stretches(x: np.ndarray, length: int, *, every: int) -> list[set[bytes]]:
    """Return, for each sequence, its stretches that cannot match by chance."""
    n, steps, _ = x.shape
    x = np.ascontiguousarray(x, np.float32)
    skip = max(1, n * steps // (every * MAX_STRETCHES))
    found = []
    for sequence in x[::skip]:
        own = set()
        for start in range(0, steps - length + 1, every):
            part = sequence[start : start + length]
            if max(len(set(c)) for c in part.T.tolist()) >= min(MIN_DISTINCT, length):
                own.add(part.tobytes())
        found.append(own)
    return found
