"""Say at each step whether a burst has yet to end: memory must start empty.

Synthetic. 130 steps, zero but for a half-sine of 10 steps that begins at a random one of the
first 50. The class is 1 up to the burst's last step and 0 after it: the network must
remember that the burst has passed. Only 5 training sequences, 100 updates of Adam at 0.01,
16 units.

Started with an empty memory each time, this is easy. With the memory carried from one sequence
into the next ("stateful" layers that are never reset) the first steps of a sequence
look like the quiet end of the one before, and the network cannot know that a new one has begun:
`--set variant=carried_lstm` and `--set variant=carried_elman` show it, as does
`--set variant=carried_gru`.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.evaluation import stateful_error
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import predict_sequences
from kalmanrnn.tasks.sampler import TRAINING, make_sampler, sample_sequences
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, unweighted
from kalmanrnn.tasks.validation import task_error

STEPS, BURST, LATEST = 130, 10, 50
TEST_SEQUENCES = 1000
CELLS: dict[str, Literal["lstm", "gru", "elman"]] = {
    "fresh": "lstm",
    "carried_lstm": "lstm",
    "carried_gru": "gru",
    "carried_elman": "elman",
}


def sample(key: jax.Array, steps: int) -> Sample:
    """Draw one sequence."""
    begin = jax.random.randint(key, (), 0, LATEST)
    into = jnp.arange(steps) - begin
    inside = (into >= 0) & (into < BURST)
    x = jnp.where(inside, jnp.sin(jnp.pi * (into + 0.5) / BURST), 0.0)
    return unweighted(x[:, None], (into < BURST).astype(jnp.float32)[:, None])


def evaluate(model: Model, key: jax.Array) -> TaskMetrics:
    """Count wrong steps of fresh sequences, with memory handled as in training."""
    task = model.task
    test = jax.tree.map(
        np.asarray, make_sampler(task.sample, task.steps)(key, np.arange(TEST_SEQUENCES))
    )
    training = sample_sequences(task, task.budget.seed, TRAINING, task.budget.sequences)
    fresh = 100 * task_error(task, predict_sequences(model, test.x), test)
    if task.budget.stateful:
        wrong, own = (100 * stateful_error(model, s)[0] for s in (test, training))
        rows = (("each sequence with an empty memory", fresh),)
    else:
        wrong, own = fresh, 100 * task_error(task, predict_sequences(model, training.x), training)
        rows = (("memory carried from one into the next", 100 * stateful_error(model, test)[0]),)
    return TaskMetrics(wrong, (("its own five training sequences", own), *rows))


def make(variant: str = "fresh") -> SequenceTask:
    """Describe the task; variant: fresh, carried_lstm, carried_gru or carried_elman."""
    if variant not in CELLS:
        raise ValueError(f"variant must be one of {', '.join(CELLS)}, got {variant!r}")
    carried = variant != "fresh"
    return SequenceTask(
        name="burst",
        summary="At each of 130 steps, say whether the half-sine burst has yet to end",
        kind="step_class",
        inputs=(Channel("signal", ""),),
        labels=(Channel("not over", ""),),
        sample=sample,
        steps=STEPS,
        network=NetworkConfig(cell=CELLS[variant], hidden=16),
        budget=BudgetConfig(
            updates=100,
            batch=5,
            sequences=5,
            stateful=carried,
            learning_rate=0.01,
            warmup=0,
            final_fraction=1.0,
            clip=1e9,
            test=TEST_SEQUENCES,
            num_validations=1,
        ),
        metric=Metric("steps wrong", "%", target=0.2),
        evaluate=evaluate,
        baselines=(
            ("Elman, memory carried, on its own training data", 13.9),
            ("LSTM, memory carried, on its own training data", 14.6),
            ("LSTM, fresh memory, on its own training data", 0.15),
        ),
        notes=("The last checkpoint counts: with so few training sequences, do not select.",),
    )


TASK = make()
