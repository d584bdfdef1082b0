"""Bigger networks that get worse: a small sweep of widths and seeds says whether it is training.

A wider network can do all that a narrower one can. If its training loss is worse, the optimiser
failed; if only its held-out loss is worse, it learnt the training sequences by heart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.fit import Loss, blind_loss, fit, losses_of, repeat
from kalmanrnn.diagnostics.training.net import Network, count, own
from kalmanrnn.diagnostics.training.sequences import Series

SEEDS, UPDATES, BATCH = 3, 200, 16
WIDTHS = (4, 16, 64)
# Losses are shares of a constant output's; differences below this are no difference.
MATTERS, WORSE = 0.05, 1.3
GAP = 1.5


class Sweep(NamedTuple):
    """Losses `[W, S]` of widths and seeds, as shares of what a constant output costs.

    widths: units in each layer. network, params: the widest and what its first seed learnt.
    """

    widths: tuple[int, ...]
    train: np.ndarray
    held: np.ndarray
    network: Network
    params: Any


def sweep(
    train: Series,
    held: Series,
    base: NetworkConfig,
    rate: float,
    loss: Loss,
    *,
    widths: tuple[int, ...] | None = None,
) -> Sweep:
    """Train networks of several widths from several seeds, all alike otherwise."""
    features, outputs = train.inputs.shape[2], train.targets.shape[2]
    losses, kept = [], None
    for width in widths or WIDTHS:
        config = replace(base, hidden=width, head=width if base.head else 0)
        made = [own(features, outputs, config, seed=seed) for seed in range(SEEDS)]
        params = jax.tree.map(lambda *a: jnp.stack(a), *[m.params for m in made])
        seen = fit(
            made[0], train, np.full(SEEDS, rate), params=params,
            updates=UPDATES, batch=BATCH, loss=loss,
        )  # fmt: skip
        # The mean over the last updates: a single batch scatters.
        learnt = np.mean(seen.losses[:, -UPDATES // 10 :], axis=1) / blind_loss(train, loss)
        unseen = losses_of(made[0], held, seen.params, loss) / blind_loss(held, loss)
        losses.append((learnt, unseen))
        kept = (made[0], jax.tree.map(lambda a: a[0], seen.params))
    assert kept is not None
    train_loss, held_loss = (
        np.nan_to_num(np.stack(a), nan=np.inf) for a in zip(*losses, strict=True)
    )
    return Sweep(widths or WIDTHS, train_loss, held_loss, *kept)


def wider_is_worse(seen: Sweep) -> list[Finding]:
    """Find that the widest network trains worse than a narrower, or only holds less."""
    if len(seen.widths) < 2:
        return []
    widest = seen.widths[-1]
    for name, losses in (("train", seen.train), ("held", seen.held)):
        best = int(np.median(losses[:-1], axis=1).argmin())
        narrow, wide = losses[best], losses[-1]
        gap = np.median(wide) - np.median(narrow)
        apart = wide.min() > narrow.max() and np.median(wide) > WORSE * np.median(narrow)
        if not apart or gap < MATTERS:
            continue
        compared = (
            f"{widest} units leave {np.median(wide):.2g} of the {{}} loss, "
            f"{seen.widths[best]} units {np.median(narrow):.2g} (medians of {SEEDS} seeds)"
        )
        if name == "train":
            return [
                Finding(
                    "error",
                    "width",
                    "bigger networks get worse already in training: "
                    f"{compared.format('training')}; "
                    "it is the optimisation, not the size",
                    float(gap),
                    "lower the learning rate, warm it up, clip gradients at 1; then widen again",
                    "kalmanrnn.doctor.check(inputs, targets, learning_rate=1e-3)",
                )
            ]
        return [
            Finding(
                "warning",
                "width",
                f"bigger networks get worse, but only held out: {compared.format('held-out')}; "
                "they learn the training sequences by heart",
                float(gap),
                "more or fresh sequences, fewer units, or stop earlier",
                "kalmanrnn train --sim ./mine.py --hidden 16",
            )
        ]
    return []


def more_parameters_than_data(
    network: Network, train: Series, held: Series, rate: float, loss: Loss
) -> list[Finding]:
    """Find a network with more parameters than target numbers, and that it overfits indeed."""
    parameters, numbers = count(network.params), train.targets.size
    if parameters <= numbers:
        return []
    seen = fit(
        network, train, np.array([rate]), params=repeat(network.params, 1),
        updates=UPDATES, batch=BATCH, loss=loss,
    )  # fmt: skip
    learnt = losses_of(network, train, seen.params, loss)[0] / blind_loss(train, loss)
    unseen = losses_of(network, held, seen.params, loss)[0] / blind_loss(held, loss)
    if not (unseen > GAP * learnt and unseen - learnt > 2 * MATTERS):
        return []
    return [
        Finding(
            "warning",
            "parameters",
            f"more parameters than data: {parameters:,} for {numbers:,} target numbers, and after "
            f"{UPDATES} updates the held-out loss is {unseen / learnt:.3g} times the training loss",
            float(parameters / numbers),
            "more sequences (simulate them), or a smaller network",
            "kalmanrnn train --sim ./mine.py --hidden 16 --layers 1",
        )
    ]
