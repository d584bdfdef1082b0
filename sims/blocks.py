"""Identify one system from 8,000 unrelated recordings of 800 to 30,000 steps.

Synthetic. Lengths are log-uniform, 64 million steps in total. Each block is a recording of the same
system with memory, from rest, driven by an input u that jumps to a new level (normal, 1) with
probability 0.05 a step and is smoothed (0.7 of the last step, 0.3 of the level):

    fast[t] = 0.80 fast[t-1] + 0.20 tanh(u[t])
    slow[t] = 0.95 slow[t-1] + 0.05 fast[t]^2
    y[t]    = fast[t] + slow[t] + noise of 0.02

Training on them one by one is as slow as all their steps in a row. Concatenating them lets one
block's memory leak into the next. Here 320 blocks of about the same length run in one batch,
each with its own memory that is carried from window to window (gradients flow back through
one window: truncated backpropagation) and is empty at every block's start.

Metric: training steps per second over those of one block at a time with the same windows, not
counting padding, both measured in one run.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import predict_ragged
from kalmanrnn.tasks.ragged import padding_share, sample_ragged
from kalmanrnn.tasks.sampler import TEST, TRAINING, sample_lengths
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, unweighted
from kalmanrnn.tasks.throughput import (
    front_padding_difference,
    max_difference,
    peak_memory_gb,
    training_throughput,
)

JUMPS, NOISE = 0.05, 0.02
SINGLE = 8
SAME, PADDING, MEMORY_GB = 1e-5, 0.10, 4.0


def block(key: jax.Array, steps: int) -> Sample:
    """Draw one recording: `[steps, 1]` inputs, `[steps, 1]` outputs."""
    jump_key, level_key, noise_key = jax.random.split(key, 3)
    jumps = jax.random.bernoulli(jump_key, JUMPS, (steps,))
    levels = jax.random.normal(level_key, (steps,))
    noise = NOISE * jax.random.normal(noise_key, (steps,))

    def advance(state: jax.Array, now: tuple[jax.Array, jax.Array]):
        level, u, fast, slow = state
        jumps, new = now
        level = jnp.where(jumps, new, level)
        u = 0.7 * u + 0.3 * level
        fast = 0.80 * fast + 0.20 * jnp.tanh(u)
        slow = 0.95 * slow + 0.05 * fast**2
        return jnp.stack([level, u, fast, slow]), (u, fast + slow)

    rest = jnp.zeros(4).at[0].set(levels[0])
    _, (u, y) = jax.lax.scan(advance, rest, (jumps, levels))
    return unweighted(u[:, None], (y + noise)[:, None])


def evaluate(model: Model, key: jax.Array) -> TaskMetrics:
    """Run fresh blocks batched and alone; time training both ways."""
    task, budget = model.task, model.task.budget
    budget = replace(budget, window=budget.window or task.steps)
    data = sample_ragged(task, budget.seed, TEST, budget.test)
    flat = predict_ragged(model, data, batch=budget.batch, window=budget.window)
    rmse = float(np.sqrt(np.mean((flat - data.y) ** 2)))
    some = [int(i) for i in np.linspace(0, budget.test - 1, SINGLE)]
    apart = max_difference(model, data, flat, some, budget.window)
    sizes = [size for size in (1, 8, 64) if size < budget.batch] + [budget.batch]
    rates = training_throughput(model, data, budget, sizes)
    training = sample_lengths(task, budget.seed, TRAINING, budget.sequences)
    padded = [padding_share(training, size, budget.window) for size in (1, budget.batch)]
    one, many = (
        rate * (1 - share) for rate, share in zip((rates[0], rates[-1]), padded, strict=True)
    )
    return TaskMetrics(
        many / one,
        rows=(
            (f"steps per second, {budget.batch} blocks in a batch", many),
            ("steps per second, one block at a time", one),
            ("share of padding in all steps, batched [%]", 100 * padded[1]),
            (f"largest difference from running {SINGLE} fresh blocks alone", apart),
            (
                f"the same with {budget.window} steps of padding in front",
                front_padding_difference(model, data, some, budget.window),
            ),
            ("root mean square error on fresh blocks", rmse),
            ("root mean square error, noise alone", NOISE),
            ("steps in all training blocks", float(training.sum())),
            ("peak memory [GB]", peak_memory_gb()),
        ),
        conditions=(
            (f"each block's output is that of running it alone, to {SAME:g}", apart <= SAME),
            (f"padding is below {PADDING:.0%} of all steps", padded[1] < PADDING),
            (f"memory stays below {MEMORY_GB:g} GB", peak_memory_gb() < MEMORY_GB),
            ("the error is less than twice the noise", rmse < 2 * NOISE),
        ),
        notes=("Steps per second depend on the machine's load; both were timed in turns.",),
        curves=(("steps per second of training", np.array(sizes), np.array(rates)),),
        axes=("blocks in a batch", "steps per second"),
    )


def make(blocks: int = 8000, shortest: int = 800, longest: int = 30_000) -> SequenceTask:
    """Describe the task."""
    if not 0 < shortest <= longest:
        raise ValueError(f"0 < shortest <= longest must hold, got {shortest} and {longest}")

    def lengths(rng: np.random.Generator, count: int) -> np.ndarray:
        return np.exp(rng.uniform(np.log(shortest), np.log(longest + 1), count)).astype(int)

    return SequenceTask(
        name="blocks",
        summary=f"{blocks:,} unrelated blocks of {shortest:,} to {longest:,} steps of one system",
        kind="step_value",
        inputs=(Channel("input", ""),),
        labels=(Channel("output", ""),),
        sample=block,
        steps=1000,
        lengths=lengths,
        network=NetworkConfig(cell="elman", hidden=16),
        budget=BudgetConfig(
            updates=6000,
            batch=320,
            sequences=blocks,
            window=50,
            optimiser="muon",
            learning_rate=1e-2,
            final_fraction=0.01,
            validation=64,
            test=320,
            num_validations=5,
        ),
        metric=Metric(
            "training throughput over one block at a time",
            unit="times",
            target=20,
            higher_is_better=True,
        ),
        evaluate=evaluate,
        precompute=True,
    )


TASK = make()
