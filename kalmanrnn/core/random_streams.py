"""Random streams of a run: each purpose has a name, and no two share a draw.

NumPy pads short seeds with zeros, so that `default_rng([s, i])` equals `default_rng([s, i, 0])`;
a `SeedSequence` with a spawn key does not.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are drawn for; a number is never used again for something else."""

    BATCHES = 1
    YAW = 2
    OUTAGES = 3
    LOG_SEGMENTS = 4
    FILTERPY_CHECK = 5
    BOOTSTRAP = 6
    TASK_LENGTHS = 7
    TASK_BATCHES = 8
    TASK_BUCKETS = 9
    TEST_VECTORS = 10
    DOCTOR_FIT = 11
    DOCTOR_BOUNDARIES = 12
    DOCTOR_LEVELS = 13
    MODEL_SAMPLES = 14
    THROUGHPUT = 15


def random_stream(seed: int, stream: Stream, *index: int) -> np.random.Generator:
    """Return the generator of a purpose; index: which of several, such as set and epoch, >= 0."""
    key = (int(stream), *map(int, index))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
