"""Say at each step whether a burst has yet to end: memory that must start fresh.

Synthetic. 130 steps, zero but for a half-sine of 10 steps that begins at a random one of the
first 50. The class is 1 up to the burst's last step and 0 after it: what the network must
remember is that the burst has been. Only 5 sequences are learnt from, 100 updates of Adam at
0.01, 16 units.

Started with an empty memory each time, this is easy. With the memory carried from one sequence
into the next (what "stateful" layers do when nobody resets them) the first steps of a sequence
look like the quiet end of the one before, and a network cannot know that a new one has begun:
`--set variant=carried_lstm` and `--set variant=carried_elman` show it, and so does
`--set variant=carried_gru`.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.evaluation import carried_error
from kalmanrnn.tasks.predict import outputs
from kalmanrnn.tasks.sampler import TRAINING, drawer, sequences
from kalmanrnn.tasks.task import Merit, Sample, SequenceTask, Verdict, plain
from kalmanrnn.tasks.validation import error_of

STEPS, BURST, LATEST = 130, 10, 50
HELD_OUT = 1000
CELLS: dict[str, Literal["lstm", "gru", "elman"]] = {
    "fresh": "lstm",
    "carried_lstm": "lstm",
    "carried_gru": "gru",
    "carried_elman": "elman",
}


def draw(key: jax.Array, steps: int) -> Sample:
    """Draw one sequence."""
    begin = jax.random.randint(key, (), 0, LATEST)
    into = jnp.arange(steps) - begin
    inside = (into >= 0) & (into < BURST)
    x = jnp.where(inside, jnp.sin(jnp.pi * (into + 0.5) / BURST), 0.0)
    return plain(x[:, None], (into < BURST).astype(jnp.float32)[:, None])


def judge(model, key: jax.Array) -> Verdict:
    """Count wrong steps of fresh sequences, run as the network was trained to be run."""
    task = model.task
    held = jax.tree.map(np.asarray, drawer(task.draw, task.steps)(key, np.arange(HELD_OUT)))
    learnt = sequences(task, task.budget.seed, TRAINING, task.budget.sequences)
    fresh = 100 * error_of(task, outputs(model, held.x), held)
    if task.budget.carried:
        wrong, own = (100 * carried_error(model, s)[0] for s in (held, learnt))
        rows = (("each sequence with an empty memory", fresh),)
    else:
        wrong, own = fresh, 100 * error_of(task, outputs(model, learnt.x), learnt)
        rows = (("memory carried from one into the next", 100 * carried_error(model, held)[0]),)
    return Verdict(wrong, (("its own five training sequences", own), *rows))


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
        draw=draw,
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
            test=HELD_OUT,
            num_validations=1,
        ),
        merit=Merit("steps wrong", "%", bar=0.2),
        judge=judge,
        beside=(
            ("Elman, memory carried, on its own training data", 13.9),
            ("LSTM, memory carried, on its own training data", 14.6),
            ("LSTM, fresh memory, on its own training data", 0.15),
        ),
        notes=(
            "One checkpoint, the last: watched sequences must not choose, with five to learn from.",
        ),
    )


TASK = make()
