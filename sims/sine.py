"""Forecast a sine wave of unknown frequency and phase from a short stretch of it.

Synthetic. One second has 100 samples. Each sequence is sin(2 pi f t + phase) without noise, f
uniform in `low_hz` to `high_hz`, phase uniform; the network sees the first `inputs` samples and
predicts the next `outputs`. At 0.5 Hz the default 25 samples are an eighth of a period:
frequency has to be read from curvature.

Loss and metric: sum of the squared errors over the forecast, mean over sequences.

A dense layer of 64 follows the recurrent ones. Muon instead of Adam is worth a factor of
six here (0.0026 against 0.015 with four layers of 32 and no dense layer), and makes ten units
enough.

`--set variant=NAME` selects other sizes that people have tried: 100_in_50_out, 25_in_50_out and
25_in_100_out with one layer of 150, four_of_10 with four layers of 10.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, unweighted

RATE_HZ = 100.0


def wave(key: jax.Array, low_hz: float, high_hz: float, inputs: int, outputs: int) -> Sample:
    """Draw one sine; what comes first, and what follows."""
    frequency_key, phase_key = jax.random.split(key)
    frequency = jax.random.uniform(frequency_key, minval=low_hz, maxval=high_hz)
    phase = jax.random.uniform(phase_key, maxval=2 * jnp.pi)
    t = jnp.arange(inputs + outputs) / RATE_HZ
    y = jnp.sin(2 * jnp.pi * frequency * t + phase)[:, None]
    return unweighted(y[:inputs], y[inputs:])


class Variant(NamedTuple):
    """Samples in and out, layers of so many units, updates of 50 sequences; target and baselines.

    skip: every layer sees the input, and the head every layer: what narrow layers need.
    baselines: what others reached with as many layers and units.
    """

    inputs: int
    outputs: int
    layers: int
    hidden: int
    updates: int
    target: float
    skip: bool
    baselines: tuple[tuple[str, float], ...]


ONE_OF_150 = "one layer of 150"
VARIANTS = {
    "four_of_32": Variant(
        25, 100, 4, 32, 7500, 0.010, False,
        (("375,000 sequences", 0.1387), ("the best of all variants, 500 units", 0.0690)),
    ),
    "100_in_50_out": Variant(100, 50, 1, 150, 6000, 0.6149 / 50, False, ((ONE_OF_150, 0.6149),)),
    "25_in_50_out": Variant(25, 50, 1, 150, 10_000, 0.1777 / 50, False, ((ONE_OF_150, 0.1777),)),
    "25_in_100_out": Variant(
        25, 100, 1, 150, 10_000, 0.2577 / 50, False, ((ONE_OF_150, 0.2577),)
    ),
    "four_of_10": Variant(
        25, 100, 4, 10, 10_200, 0.1810, True, (("stepped rate, 510,000 sequences", 0.1810),)
    ),
}  # fmt: skip


def make(
    variant: str = "four_of_32",
    inputs: int = 0,
    outputs: int = 0,
    low_hz: float = 0.5,
    high_hz: float = 4.0,
) -> SequenceTask:
    """Describe the task; inputs and outputs are the variant's where they are 0."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    chosen = VARIANTS[variant]
    inputs, outputs = inputs or chosen.inputs, outputs or chosen.outputs
    same = (inputs, outputs, low_hz, high_hz) == (chosen.inputs, chosen.outputs, 0.5, 4.0)
    value = (Channel("value", ""),)
    return SequenceTask(
        name="sine",
        summary=f"Sines of {low_hz:g} to {high_hz:g} Hz at {RATE_HZ:g} samples/s: "
        f"{inputs} in, the next {outputs} out",
        kind="forecast",
        inputs=value,
        labels=value,
        sample=lambda key, steps: wave(key, low_hz, high_hz, steps, outputs),
        steps=inputs,
        horizon=outputs,
        network=NetworkConfig(
            hidden=chosen.hidden, layers=chosen.layers, head=64, skip=chosen.skip
        ),
        budget=BudgetConfig(updates=chosen.updates, batch=50, optimiser="muon", learning_rate=1e-2),
        metric=Metric("sum of squares over the forecast", target=chosen.target if same else None),
        baselines=chosen.baselines if same else (),
        dt_s=1 / RATE_HZ,
    )


TASK = make()
