"""From one sequence to the next: state carried where it should not be, or reset where it should.

Whether sequences continue one another shows at the joins: there the jump is that of neighbours, or
that of strangers.
"""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training import regression
from kalmanrnn.diagnostics.training.sequences import MOST_STEPS, Series

# 0: joins jump as neighbours do; 1: as strangers do. Between the two nothing is said.
CONTINUES, APART = 0.2, 0.6
# Strangers must differ this much more than neighbours, or a jump tells nothing.
DECIDES = 2.5
FEWEST = 4
GAIN = 0.05
PAST = 24


def jump(series: Series) -> float | None:
    """Return how the joins jump, 0 like neighbours to 1 like strangers; None if it cannot tell.

    One column that jumps is enough: the largest of all columns that can tell.
    """
    if len(series.inputs) < FEWEST or series.inputs.shape[1] < 3:
        return None
    columns = [series.inputs, *([series.targets] if series.per_step else [])]
    scores = np.concatenate([_scores(a) for a in columns])
    return float(scores.max()) if scores.size else None


def _scores(a: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)

    def size(difference: np.ndarray) -> np.ndarray:
        return np.sqrt(np.mean(difference.reshape(-1, a.shape[2]) ** 2, axis=0))

    inside, join = size(np.diff(a, axis=1)), size(a[1:, 0] - a[:-1, -1])
    strangers = size(np.stack([a[rng.permutation(len(a)), 0] - a[:, -1] for _ in range(8)]))
    can = strangers > DECIDES * np.maximum(inside, 1e-12)
    return (join[can] - inside[can]) / (strangers[can] - inside[can])


def carry(series: Series, *, carried: bool) -> list[Finding]:
    """Find state that is carried over a join that is none, or reset in the middle of a series."""
    score = jump(series)
    if score is None:
        return []
    if carried and score > APART:
        return [
            Finding(
                "error",
                "carry",
                "the state is carried from one sequence into the next, but they do not continue "
                f"each other: joins jump {score:.0%} of the way from neighbours to strangers",
                score,
                "start every sequence with an empty state; in Keras stateful=False",
                "kalmanrnn.doctor.check(inputs, targets, carried=False)",
            )
        ]
    if carried or score > CONTINUES:
        return []
    gain = told_by_last(series)
    if gain is None or gain < GAIN:
        return []
    return [
        Finding(
            "warning",
            "carry",
            "the state is reset between sequences that continue each other (joins jump "
            f"{max(score, 0.0):.0%} of the way to strangers), and the sequence before tells "
            f"{gain:.0%} more of the targets",
            gain,
            "carry the state from each sequence to the next, in order and without overlap, or cut "
            "longer ones",
            "kalmanrnn doctor --arrays data.npz --carried",
        )
    ]


def told_by_last(series: Series) -> float | None:
    """Return the R^2 that the inputs of the sequence before add, where they come closest."""
    if series.inputs.shape[1] > MOST_STEPS and not series.per_step:
        return None
    series = regression.scaled(series)
    n, steps, features = series.inputs.shape
    # What lies far from the join tells nothing of it.
    steps = min(steps, MOST_STEPS)
    own_inputs = series.inputs[1:, :steps]
    both = np.concatenate([series.inputs[:-1, -steps:], own_inputs], axis=1)
    at = np.arange(steps // 4 + 1) if series.per_step else np.array([steps - 1])
    y = series.targets[1:][:, at] if series.per_step else series.targets[1:]
    y = y.reshape(-1, y.shape[2])
    past = min(at[-1] + PAST, 2 * steps - 1 - at[-1], regression.MOST_COLUMNS // features - 1)
    owner = regression.sequences(n - 1, at)
    whole = regression.lagged(both, at + steps, range(past + 1))
    own = regression.lagged(own_inputs, at, range(past + 1))
    left = []
    for x in (own, whole):
        rows = regression.rows_of(x, y, owner, n - 1)
        if rows is None:
            return None
        left.append(float(np.minimum(regression.residual(rows), 1.0).mean()))
    return left[0] - left[1]
