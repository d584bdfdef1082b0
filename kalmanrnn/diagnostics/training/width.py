"""Check for larger networks that do worse, with a small sweep over widths and seeds.

A wider network can represent all that a narrower one can. If its training loss is worse, the
optimiser failed; if only its validation loss is worse, it overfits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.fit import Loss, constant_loss, evaluate_losses, fit, replicate
from kalmanrnn.diagnostics.training.network import Network, count_numbers, make_network
from kalmanrnn.diagnostics.training.sequences import Sequences

SEEDS, UPDATES, BATCH = 3, 200, 16
WIDTHS = (4, 16, 64)
# In shares of a constant output's loss: smaller differences do not matter.
MIN_GAP, MIN_RATIO = 0.05, 1.3
OVERFIT_RATIO = 1.5


class WidthSweep(NamedTuple):
    """Losses `[W, S]` of widths and seeds, as shares of what a constant output costs.

    widths: units in each layer. network, params: the widest, trained from the first seed.
    """

    widths: tuple[int, ...]
    train: np.ndarray
    validation: np.ndarray
    network: Network
    params: Any


def run_width_sweep(
    train: Sequences,
    validation: Sequences,
    base: NetworkConfig,
    rate: float,
    loss: Loss,
    *,
    widths: tuple[int, ...] | None = None,
) -> WidthSweep:
    """Train networks of several widths from several seeds, otherwise alike."""
    features, outputs = train.inputs.shape[2], train.targets.shape[2]
    losses, kept = [], None
    for width in widths or WIDTHS:
        config = replace(base, hidden=width, head=width if base.head else 0)
        made = [make_network(features, outputs, config, seed=seed) for seed in range(SEEDS)]
        params = jax.tree.map(lambda *a: jnp.stack(a), *[m.params for m in made])
        seen = fit(
            made[0], train, np.full(SEEDS, rate), params=params,
            updates=UPDATES, batch=BATCH, loss=loss,
        )  # fmt: skip
        # The mean over the last updates: single batches scatter.
        learned = np.mean(seen.losses[:, -UPDATES // 10 :], axis=1) / constant_loss(train, loss)
        losses.append((learned, relative_loss(made[0], validation, seen.params, loss)))
        kept = (made[0], jax.tree.map(lambda a: a[0], seen.params))
    assert kept is not None
    train_loss, validation_loss = (
        np.nan_to_num(np.stack(a), nan=np.inf) for a in zip(*losses, strict=True)
    )
    return WidthSweep(widths or WIDTHS, train_loss, validation_loss, *kept)


def relative_loss(network: Network, data: Sequences, params: Any, loss: Loss) -> np.ndarray:
    """Return the loss of each parameter set `[R]`, as a share of a constant output's."""
    return evaluate_losses(network, data, params, loss) / constant_loss(data, loss)


def check_width(seen: WidthSweep) -> list[Finding]:
    """Find that the widest network trains worse than a narrower one, or only validates worse."""
    if len(seen.widths) < 2:
        return []
    widest = seen.widths[-1]
    for name, losses in (("train", seen.train), ("validation", seen.validation)):
        best = int(np.median(losses[:-1], axis=1).argmin())
        narrow, wide = losses[best], losses[-1]
        gap = np.median(wide) - np.median(narrow)
        apart = wide.min() > narrow.max() and np.median(wide) > MIN_RATIO * np.median(narrow)
        if not apart or gap < MIN_GAP:
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
                    "larger networks do worse even on the training set: "
                    f"{compared.format('training')}; "
                    "the optimisation is at fault, not the size",
                    float(gap),
                    "lower the learning rate, warm it up, clip gradients at 1; then widen again",
                    "kalmanrnn.diagnose(inputs, targets, learning_rate=1e-3)",
                )
            ]
        return [
            Finding(
                "warning",
                "width",
                f"larger networks overfit: {compared.format('validation')}, "
                "while the training loss is no worse",
                float(gap),
                "use more or fresh sequences, fewer units, or early stopping",
                "kalmanrnn train --sim ./mine.py --hidden 16",
            )
        ]
    return []


def check_parameters(
    network: Network, train: Sequences, validation: Sequences, rate: float, loss: Loss
) -> list[Finding]:
    """Find a network that has more parameters than target values and overfits."""
    parameters, numbers = count_numbers(network.params), train.targets.size
    if parameters <= numbers:
        return []
    seen = fit(
        network, train, np.array([rate]), params=replicate(network.params, 1),
        updates=UPDATES, batch=BATCH, loss=loss,
    )  # fmt: skip
    learned, validated = (
        relative_loss(network, data, seen.params, loss)[0] for data in (train, validation)
    )
    if not (validated > OVERFIT_RATIO * learned and validated - learned > 2 * MIN_GAP):
        return []
    return [
        Finding(
            "warning",
            "parameters",
            f"more parameters than data: {parameters:,} for {numbers:,} target values, and "
            f"after {UPDATES} updates the validation loss is {validated / learned:.3g} times the "
            "training loss",
            float(parameters / numbers),
            "use more sequences (simulate them), or a smaller network",
            "kalmanrnn train --sim ./mine.py --hidden 16 --layers 1",
        )
    ]
