"""Check whether a network can learn at all, and at which rate: one batch, and a range test."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.fit import Loss, constant_loss, fit, replicate
from kalmanrnn.diagnostics.training.network import Network
from kalmanrnn.diagnostics.training.sequences import Sequences

SEQUENCES, STEPS = 4, 24
# Share of the variance of whole sequences that the first steps must have.
VARIES = 0.2
OVERFIT_UPDATES, OVERFIT_RATES = 400, np.array([1e-3, 3e-3, 1e-2, 3e-2])
# Share of a constant output's loss: a network that can learn gets far below it.
MAX_LOSS = 0.3
RANGE = 10.0 ** np.arange(-5.0, 0.1, 0.5)
RANGE_UPDATES, RANGE_BATCH, RANGE_STEPS = 60, 16, 64
# Of the best rate's progress. Too low only if also this far below the best rate.
NO_PROGRESS, FAR_BELOW = 0.1, 30.0
WORSE = 0.5


def check_one_batch(network: Network, data: Sequences, loss: Loss) -> list[Finding]:
    """Try to overfit four sequences at several rates."""
    pick = np.linspace(0, len(data.inputs) - 1, SEQUENCES).round().astype(int)
    few = data._replace(inputs=data.inputs[pick], targets=data.targets[pick])
    few = shorten(few, STEPS)
    constant = constant_loss(few, loss)
    if not constant > 0:
        return []
    seen = fit(
        network, few, OVERFIT_RATES, params=replicate(network.params, len(OVERFIT_RATES)),
        updates=OVERFIT_UPDATES, batch=SEQUENCES, loss=loss,
    )  # fmt: skip
    least = np.where(np.isfinite(seen.losses), seen.losses, np.inf).min() / constant
    if least < MAX_LOSS:
        return []
    reached = f"is {least:.0%}" if np.isfinite(least) else "is not finite, compared with that"
    return [
        Finding(
            "error",
            "one batch",
            f"the network cannot overfit one batch of {SEQUENCES} sequences: after "
            f"{OVERFIT_UPDATES} updates at the best of {len(OVERFIT_RATES)} rates the loss "
            f"{reached} of a constant output's",
            float(least),
            "look for a bug first: equal inputs with different targets, a stopped gradient, an "
            "output that cannot reach the targets, a loss of something else",
            "kalmanrnn.diagnose(x[:4], y[:4], step=step, carry=carry, params=params)",
        )
    ]


def check_learning_rate(
    network: Network, data: Sequences, loss: Loss, rate: float | None
) -> tuple[list[Finding], float | None]:
    """Try rates from 1e-5 to 1 for a few updates each; return findings and the best rate."""
    data = shorten(data, RANGE_STEPS)
    rates = np.array([*RANGE, *([] if rate is None else [rate])])
    seen = fit(
        network, data, rates, params=replicate(network.params, len(rates)),
        updates=RANGE_UPDATES, batch=RANGE_BATCH, loss=loss,
    )  # fmt: skip
    last = np.mean(seen.losses[:, -RANGE_UPDATES // 6 :], axis=1)
    last = np.where(np.isfinite(last), last, np.inf)
    start = float(np.mean(seen.losses[: len(RANGE) // 2, 0]))
    best = int(last[: len(RANGE)].argmin())
    progress = start - last[best]
    if not np.isfinite(start) or not progress > 0.02 * start:
        return [], None
    found = [] if rate is None else _check_rate(rate, RANGE[best], last[-1], start, progress)
    return found, float(RANGE[best])


def _check_rate(
    rate: float, best: float, last: float, start: float, progress: float
) -> list[Finding]:
    made = (start - last) / progress
    if rate > best and made < WORSE:
        problem = (
            f"too high: after {RANGE_UPDATES} updates the loss is {last / start:.3g} times what"
        )
        number = float(last / start)
    elif rate * FAR_BELOW <= best and made < NO_PROGRESS:
        problem = (
            f"too low: after {RANGE_UPDATES} updates the loss is {last / start:.3g} times what"
        )
        number = float(last / start)
    else:
        return []
    after = (start - progress) / start
    return [
        Finding(
            "error" if rate > best else "warning",
            "learning rate",
            f"the learning rate {rate:g} is {problem} it was; at {best:.1g} it is {after:.3g}",
            number,
            f"use {best:.1g} with a warm-up and a cosine decay to a hundredth",
            f"kalmanrnn.diagnose(inputs, targets, learning_rate={best:.1g})",
        )
    ]


def shorten(data: Sequences, steps: int) -> Sequences:
    """Cut sequences to their first steps, but to enough that the targets vary there.

    Where one target is at the end: to the last steps, enough that inputs differ between sequences,
    as short sequences may end in padding.
    """

    def varies(part: Sequences) -> float:
        if part.per_step:
            return float(part.targets.var(axis=(0, 1)).mean())
        return float(part.inputs.var(axis=0).mean())

    least = VARIES * varies(data)
    while steps < data.inputs.shape[1]:
        few = first_steps(data, steps)
        if varies(few) > least:
            return few
        steps *= 2
    return data


def first_steps(data: Sequences, steps: int) -> Sequences:
    """Cut sequences to their first steps; to their last, where one target is at the end."""
    if not data.per_step:
        return data._replace(inputs=data.inputs[:, -steps:])
    return data._replace(inputs=data.inputs[:, :steps], targets=data.targets[:, :steps])
