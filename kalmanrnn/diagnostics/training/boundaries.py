"""State carried into a sequence that continues nothing, or reset before one that does.

The jump at the boundary shows it: as small as between neighbouring steps where a sequence continues
the one before, as large as between unrelated sequences where it does not.
"""

from __future__ import annotations

import numpy as np

from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.sequences import MAX_STEPS, Sequences

# Jump at the boundary: 0 as between neighbouring steps, 1 as between unrelated sequences.
CONTINUES, UNRELATED = 0.2, 0.6
# Unrelated sequences must differ this much more than neighbouring steps.
MIN_CONTRAST = 2.5
MIN_SEQUENCES = 4
MIN_GAIN = 0.05
PAST = 24


def boundary_jump(data: Sequences) -> float | None:
    """Return the jump at boundaries, 0 as within sequences to 1 as between unrelated ones.

    The largest over all columns: one that jumps is enough. None if no column can decide.
    """
    if len(data.inputs) < MIN_SEQUENCES or data.inputs.shape[1] < 3:
        return None
    columns = [data.inputs, *([data.targets] if data.per_step else [])]
    scores = np.concatenate([_scores(a) for a in columns])
    return float(scores.max()) if scores.size else None


def _scores(a: np.ndarray) -> np.ndarray:
    rng = random_stream(0, Stream.DOCTOR_BOUNDARIES)

    def size(difference: np.ndarray) -> np.ndarray:
        return np.sqrt(np.mean(difference.reshape(-1, a.shape[2]) ** 2, axis=0))

    inside, boundary = size(np.diff(a, axis=1)), size(a[1:, 0] - a[:-1, -1])
    unrelated = size(np.stack([a[rng.permutation(len(a)), 0] - a[:, -1] for _ in range(8)]))
    can = unrelated > MIN_CONTRAST * np.maximum(inside, 1e-12)
    return (boundary[can] - inside[can]) / (unrelated[can] - inside[can])


def check_carry(data: Sequences, *, stateful: bool) -> list[Finding]:
    """Find state carried between unrelated sequences, or reset in the middle of a recording."""
    score = boundary_jump(data)
    if score is None:
        return []
    if stateful and score > UNRELATED:
        return [
            Finding(
                "error",
                "carry",
                "the state is carried from one sequence into the next, but they do not continue "
                f"each other: jumps at boundaries are {score:.0%} of those between unrelated ones",
                score,
                "start every sequence with an empty state; in Keras stateful=False",
                "kalmanrnn.diagnose(inputs, targets, stateful=False)",
            )
        ]
    if stateful or score > CONTINUES:
        return []
    gain = boundary_gain(data)
    if gain is None or gain < MIN_GAIN:
        return []
    return [
        Finding(
            "warning",
            "carry",
            "the state is reset between sequences that continue each other (jumps at boundaries "
            f"are {max(score, 0.0):.0%} of those between unrelated ones), and the sequence before "
            f"explains {gain:.0%} more of the targets",
            gain,
            "carry the state from each sequence to the next, in order and without overlap, or cut "
            "longer ones",
            "kalmanrnn doctor --arrays data.npz --stateful",
        )
    ]


def boundary_gain(data: Sequences) -> float | None:
    """Return the R^2 that the inputs of the sequence before add, near the boundary."""
    if data.inputs.shape[1] > MAX_STEPS and not data.per_step:
        return None
    data = regression.standardise_columns(data)
    n, steps, features = data.inputs.shape
    # Only steps near the boundary matter.
    steps = min(steps, MAX_STEPS)
    own_inputs = data.inputs[1:, :steps]
    both = np.concatenate([data.inputs[:-1, -steps:], own_inputs], axis=1)
    at = np.arange(steps // 4 + 1) if data.per_step else np.array([steps - 1])
    y = data.targets[1:][:, at] if data.per_step else data.targets[1:]
    y = y.reshape(-1, y.shape[2])
    past = min(at[-1] + PAST, 2 * steps - 1 - at[-1], regression.MAX_COLUMNS // features - 1)
    owner = regression.sequence_index(n - 1, at)
    whole = regression.lagged(both, at + steps, range(past + 1))
    own = regression.lagged(own_inputs, at, range(past + 1))
    left = []
    for x in (own, whole):
        rows = regression.split_rows(x, y, owner, n - 1)
        if rows is None:
            return None
        left.append(float(np.minimum(regression.residual(rows), 1.0).mean()))
    return left[0] - left[1]
