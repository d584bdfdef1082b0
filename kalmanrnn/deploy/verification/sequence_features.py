"""Features of recorded events, which the sequence model of a direct student is verified with."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from kalmanrnn.deploy.verification.test_vectors import Vectors
from kalmanrnn.models.student import Carry, Student, make_features
from kalmanrnn.training.trained import TrainedStudent

FEATURES = "features"


def has_sequence_model(student: Student) -> bool:
    """Whether the student has a model of whole drives: readings in, state out, LSTM cells."""
    return student.config.student == "direct" and student.config.cell == "lstm"


def add_features(vectors: Vectors, trained: TrainedStudent) -> Vectors:
    """Add a direct student's features `[N, F]` to recorded events."""
    given, count = vectors.inputs, len(vectors.starts)

    def leaf(name: str) -> Any:
        # The interval is a scalar; empty arrays have no port.
        empty = np.zeros((count, 0), np.float32)
        return given.get(name, empty)

    carry = Carry(**{name: leaf(name) for name in Carry._fields if name != "memory"}, memory=())
    row = jax.vmap(lambda c, z, seen: make_features(trained.student, trained.norm, c, z, seen)[0])
    features = np.asarray(row(carry, leaf("z"), leaf("seen")))
    return vectors._replace(inputs=given | {FEATURES: features})
