"""Check the curves: a network that uses no memory, gradients that vanish or explode."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.curves import Curves
from kalmanrnn.diagnostics.training.lags import LagCurve

# Inputs count as seen down to this share of the largest sensitivity.
SEEN = 0.01
# How much more of the targets the unseen inputs must explain.
UNSEEN = 0.1
VANISHED, EXPLODED = 1e-4, 100.0
LSTM_COMMAND = (
    "kalmanrnn train --sim ./mine.py --cell lstm   # forget gates start open for long memory"
)


def memory_length(sensitivity: np.ndarray) -> int:
    """Return how many steps back the network looks."""
    seen = np.flatnonzero(sensitivity > SEEN * sensitivity.max())
    return int(seen[-1]) if seen.size else 0


def check_memory(curves: Curves, lags: LagCurve | None) -> list[Finding]:
    """Compare how far back the network looks with how far back the task needs."""
    if lags is None or lags.needed is None or not curves.sensitivity.max() > 0:
        return []
    seen = memory_length(curves.sensitivity)
    explained = float(np.interp(seen, lags.lag, lags.r2))
    if seen >= lags.needed or lags.r2.max() - explained < UNSEEN:
        return []
    before = curves.sensitivity[1:].sum() / curves.sensitivity.sum()
    alone = " at all" if seen == 0 else ""
    return [
        Finding(
            "error",
            "memory",
            f"the network uses no memory beyond {seen} steps back{alone} ({before:.1%} of its "
            f"sensitivity is on the past), and the task needs {lags.needed}: inputs up to {seen} "
            f"explain {explained:.0%} of the targets, all of them {lags.r2.max():.0%}",
            float(lags.r2.max()) - explained,
            f"train on windows longer than {lags.needed} steps, with gradients through all of "
            "them, and start forget gates open (chrono)",
            LSTM_COMMAND,
        )
    ]


def check_gradients(curves: Curves, lags: LagCurve | None) -> list[Finding]:
    """Find gradients that vanish before the last lag that matters, or that explode."""
    size = curves.gradient
    if not size[0] > 0 or len(size) < 3:
        return []
    growth = float(size[1:].max() / size[0])
    if growth > EXPLODED:
        back = int(size[1:].argmax()) + 1
        return [
            Finding(
                "error",
                "gradient",
                f"gradients explode through time: {back} steps back they are {growth:.2g} times "
                "as large as at the last step",
                growth,
                "clip the gradient's norm at 1, start recurrent weights orthogonal, or use an LSTM",
                "kalmanrnn train --sim ./mine.py --clip 1 --cell lstm",
            )
        ]
    if lags is None or lags.needed is None or lags.needed >= len(size) or lags.needed < 2:
        return []
    share = float(size[lags.needed] / size[0])
    if share > VANISHED:
        return []
    return [
        Finding(
            "warning",
            "gradient",
            f"gradients vanish through time: {lags.needed} steps back, where the task still "
            f"depends on its inputs, {share:.2g} of the last step's is left",
            share,
            "use an LSTM or GRU whose forget gates start open (chrono), or shorten the path: "
            "a strided convolution in front, fewer samples per second",
            LSTM_COMMAND,
        )
    ]
