"""Whether a network can learn at all, and at which rate: one batch, and a short range test."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.fit import Loss, blind_loss, fit, repeat
from kalmanrnn.diagnostics.training.net import Network
from kalmanrnn.diagnostics.training.sequences import Series

SEQUENCES, STEPS = 4, 24
# Share of the whole sequences' variance that the first steps must have.
VARIES = 0.2
OVERFIT_UPDATES, OVERFIT_RATES = 400, np.array([1e-3, 3e-3, 1e-2, 3e-2])
# Of what a constant output costs: a network that can learn leaves far less of four sequences.
LEFT = 0.3
RANGE = 10.0 ** np.arange(-5.0, 0.1, 0.5)
RANGE_UPDATES, RANGE_BATCH, RANGE_STEPS = 60, 16, 64
# Of the best rate's progress. Too low only if also this far below the best rate.
NO_PROGRESS, FAR_BELOW = 0.1, 30.0
WORSE = 0.5


def one_batch(network: Network, series: Series, loss: Loss) -> list[Finding]:
    """Try to learn four sequences by heart, at several rates; find that none can."""
    pick = np.linspace(0, len(series.inputs) - 1, SEQUENCES).round().astype(int)
    few = series._replace(inputs=series.inputs[pick], targets=series.targets[pick])
    few = opening(few, STEPS)
    blind = blind_loss(few, loss)
    if not blind > 0:
        return []
    seen = fit(
        network, few, OVERFIT_RATES, params=repeat(network.params, len(OVERFIT_RATES)),
        updates=OVERFIT_UPDATES, batch=SEQUENCES, loss=loss,
    )  # fmt: skip
    least = np.where(np.isfinite(seen.losses), seen.losses, np.inf).min() / blind
    if least < LEFT:
        return []
    told = "its gradient is not finite" if not np.isfinite(least) else f"{least:.0%} is left"
    return [
        Finding(
            "error",
            "one batch",
            f"one batch of {SEQUENCES} sequences cannot be learnt by heart: after "
            f"{OVERFIT_UPDATES} updates at the best of {len(OVERFIT_RATES)} rates {told} of what "
            "a constant output costs",
            float(least),
            "look for a mistake before anything else: equal inputs with different targets, a "
            "gradient that is cut, an output that cannot reach the targets, a loss of other things",
            "check(inputs[:4], targets[:4], step=step, carry=carry, params=params)",
        )
    ]


def learning_rate(
    network: Network, series: Series, loss: Loss, rate: float | None
) -> tuple[list[Finding], float | None]:
    """Try rates from 1e-5 to 1, a few updates each; return what is wrong, and the best rate."""
    series = opening(series, RANGE_STEPS)
    rates = np.array([*RANGE, *([] if rate is None else [rate])])
    seen = fit(
        network, series, rates, params=repeat(network.params, len(rates)),
        updates=RANGE_UPDATES, batch=RANGE_BATCH, loss=loss,
    )  # fmt: skip
    last = np.mean(seen.losses[:, -RANGE_UPDATES // 6 :], axis=1)
    last = np.where(np.isfinite(last), last, np.inf)
    start = float(np.mean(seen.losses[: len(RANGE) // 2, 0]))
    best = int(last[: len(RANGE)].argmin())
    progress = start - last[best]
    if not np.isfinite(start) or not progress > 0.02 * start:
        return [], None
    found = [] if rate is None else _judge(rate, RANGE[best], last[-1], start, progress)
    return found, float(RANGE[best])


def _judge(rate: float, best: float, last: float, start: float, progress: float) -> list[Finding]:
    made = (start - last) / progress
    if rate > best and made < WORSE:
        told = f"too high: after {RANGE_UPDATES} updates the loss is {last / start:.3g} times what"
        number = float(last / start)
    elif rate * FAR_BELOW <= best and made < NO_PROGRESS:
        told = f"too low: after {RANGE_UPDATES} updates the loss is {last / start:.3g} times what"
        number = float(last / start)
    else:
        return []
    after = (start - progress) / start
    return [
        Finding(
            "error" if rate > best else "warning",
            "learning rate",
            f"the learning rate {rate:g} is {told} it was; at {best:.1g} it is {after:.3g} times",
            number,
            f"start from {best:.1g} with a warm-up, and let it fall to a hundredth (cosine)",
            f"kalmanrnn.doctor.check(inputs, targets, learning_rate={best:.1g})",
        )
    ]


def opening(series: Series, steps: int) -> Series:
    """Cut sequences to a few steps, but to enough that something differs there.

    The first ones, with targets that vary; where one target is at the end the last ones, with
    inputs that differ between sequences: behind short ones there may be padding.
    """

    def varies(part: Series) -> float:
        if part.per_step:
            return float(part.targets.var(axis=(0, 1)).mean())
        return float(part.inputs.var(axis=0).mean())

    least = VARIES * varies(series)
    while steps < series.inputs.shape[1]:
        few = first_steps(series, steps)
        if varies(few) > least:
            return few
        steps *= 2
    return series


def first_steps(series: Series, steps: int) -> Series:
    """Cut sequences to their first steps; to their last, where one target is at the end."""
    if not series.per_step:
        return series._replace(inputs=series.inputs[:, -steps:])
    return series._replace(inputs=series.inputs[:, :steps], targets=series.targets[:, :steps])
