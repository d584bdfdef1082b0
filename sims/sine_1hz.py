"""Forecast a 1 Hz sine of unknown phase, and try the network on 2 and 3 Hz.

Synthetic: the generator of `sine` with the frequency fixed. It is easy to learn, but the
network sees nothing else: at 2 and 3 Hz it predicts something like 1 Hz, and fails.

Loss and metric: sum of the squared errors over the forecast, mean over sequences.
"""

from functools import partial

import jax
import jax.numpy as jnp

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, unweighted

RATE_HZ = 100.0
OTHERS_HZ = (2.0, 3.0)


def wave(frequency_hz: float, outputs: int, key: jax.Array, steps: int) -> Sample:
    """Draw one sine of random phase; what comes first, and what follows."""
    phase = jax.random.uniform(key, maxval=2 * jnp.pi)
    t = jnp.arange(steps + outputs) / RATE_HZ
    y = jnp.sin(2 * jnp.pi * frequency_hz * t + phase)[:, None]
    return unweighted(y[:steps], y[steps:])


def make(inputs: int = 100, outputs: int = 50) -> SequenceTask:
    """Describe the task."""
    value = (Channel("value", ""),)
    return SequenceTask(
        name="sine_1hz",
        summary=f"A 1 Hz sine at {RATE_HZ:g} samples/s: {inputs} in, the next {outputs} out",
        kind="forecast",
        inputs=value,
        labels=value,
        sample=partial(wave, 1.0, outputs),
        steps=inputs,
        horizon=outputs,
        network=NetworkConfig(hidden=100),
        budget=BudgetConfig(updates=4000, batch=50, optimiser="muon", learning_rate=1e-2),
        metric=Metric("sum of squares over the forecast", target=0.001),
        probes={f"{hz:g} Hz, not trained on": partial(wave, hz, outputs) for hz in OTHERS_HZ},
        dt_s=1 / RATE_HZ,
        notes=(
            "At 2 and 3 Hz it fails: it was trained on 1 Hz alone. A network knows only the range "
            "it was trained on; the task `sine` trains on 0.5 to 4 Hz.",
        ),
    )


TASK = make()
