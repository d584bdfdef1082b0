"""Forecast a sine wave of unknown frequency and phase from a short stretch of it.

Synthetic. One second has 100 samples. Each sequence is sin(2 pi f t + phase) without noise, f
uniform in `low_hz` to `high_hz`, phase uniform in a turn; the network sees the first `inputs`
samples and gives the next `outputs`. At 0.5 Hz the default 25 samples are an eighth of a period:
frequency has to be read from curvature.

Loss and figure of merit: sum of the squared errors over the forecast, mean over sequences.
"""

import jax
import jax.numpy as jnp

from kalmanrnn.config import BudgetConfig, NetworkConfig
from kalmanrnn.sensors import Channel
from kalmanrnn.task import Merit, Sample, SequenceTask, plain

RATE_HZ = 100.0


def wave(key: jax.Array, low_hz: float, high_hz: float, inputs: int, outputs: int) -> Sample:
    """Draw one sine; what comes first, and what follows."""
    frequency_key, phase_key = jax.random.split(key)
    frequency = jax.random.uniform(frequency_key, minval=low_hz, maxval=high_hz)
    phase = jax.random.uniform(phase_key, maxval=2 * jnp.pi)
    t = jnp.arange(inputs + outputs) / RATE_HZ
    y = jnp.sin(2 * jnp.pi * frequency * t + phase)[:, None]
    return plain(y[:inputs], y[inputs:])


def make(
    inputs: int = 25, outputs: int = 100, low_hz: float = 0.5, high_hz: float = 4.0
) -> SequenceTask:
    """Describe the task."""
    value = (Channel("value", ""),)
    return SequenceTask(
        name="sine",
        summary=f"Sines of {low_hz:g} to {high_hz:g} Hz at {RATE_HZ:g} samples/s: "
        f"{inputs} in, the next {outputs} out",
        kind="forecast",
        inputs=value,
        labels=value,
        draw=lambda key, steps: wave(key, low_hz, high_hz, steps, outputs),
        steps=inputs,
        ahead=outputs,
        network=NetworkConfig(hidden=32, layers=4),
        budget=BudgetConfig(updates=7500, batch=50),
        merit=Merit("sum of squares over the forecast", bar=0.010),
        dt_s=1 / RATE_HZ,
    )


TASK = make()
