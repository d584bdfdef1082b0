"""Predict the next terms of sequences in which each term is the sum of the two before.

Synthetic. A sequence begins with two numbers uniform in 1 to 10 and goes on by
x[n] = x[n-1] + x[n-2], without noise; Fibonacci's own, 1, 1, 2, 3, ..., is judged with them. The
network learns from the first `terms` terms of each: at every step it gives the next one.

variant=ratios: it sees log(x[n] / x[n-1]) and gives the next such logarithm. These stay near
log 1.618 however far a sequence has grown. variant=raw: it sees and gives the numbers as they
are. Fifty terms span ten powers of ten, the loss is that of the last few alone, and outputs have
to go where no training number was. It fails, and is kept to show how.

Figure of merit: the largest relative error on the `ahead` terms after the training range, each
prediction fed back as the next input, over 1,000 fresh sequences and Fibonacci's own.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.model import Model, empty
from kalmanrnn.tasks.predict import carry_on, outputs
from kalmanrnn.tasks.task import Merit, Sample, SequenceTask, Verdict, plain

FIRST_LOW, FIRST_HIGH = 1.0, 10.0
EARLY, SHOWN_BEFORE = 5, 10


def terms_of(first: jax.Array, count: int) -> jax.Array:
    """Continue from two first numbers `[2]` to `count` terms."""

    def advance(pair: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        return jnp.stack([pair[1], pair[0] + pair[1]]), pair[0]

    return jax.lax.scan(advance, first, None, count)[1]


def exact_terms(first: np.ndarray, count: int) -> np.ndarray:
    """Continue many pairs `[B, 2]` to `[B, count]` in float64."""
    made = list(np.asarray(first, np.float64).T)
    while len(made) < count:
        made.append(made[-1] + made[-2])
    return np.stack(made, axis=1)


def encode(x: jax.Array, raw: bool) -> jax.Array:
    """Turn terms `[..., N]` into what the network sees: themselves, or N - 1 log ratios."""
    return x if raw else jnp.log(x[..., 1:] / x[..., :-1])


def sequence(key: jax.Array, steps: int, raw: bool) -> Sample:
    """Draw a sequence: at each step what is seen, and what comes next."""
    first = jax.random.uniform(key, (2,), minval=FIRST_LOW, maxval=FIRST_HIGH)
    seen = encode(terms_of(first, steps + (1 if raw else 2)), raw)[:, None]
    return plain(seen[:-1], seen[1:])


def free_run(model: Model, known: np.ndarray, ahead: int, raw: bool) -> np.ndarray:
    """Continue known terms `[B, N]` by `ahead` terms, every prediction fed back: `[B, ahead]`."""
    seen = np.asarray(encode(jnp.asarray(known, jnp.float32), raw))[..., None]
    memory, out = carry_on(model, empty(model, len(seen)), seen)
    given = [np.asarray(out[:, -1:])]
    while len(given) < ahead:
        memory, out = carry_on(model, memory, given[-1])
        given.append(np.asarray(out))
    said = np.concatenate(given, axis=1)[..., 0].astype(np.float64)
    return said if raw else known[:, -1:] * np.exp(np.cumsum(said, axis=1))


def judge(model: Model, key: jax.Array, terms: int, ahead: int, raw: bool) -> Verdict:
    """Continue fresh sequences, and Fibonacci's own in the first row, beyond the training range."""
    count = model.task.budget.test
    fresh = jax.random.uniform(key, (count, 2), minval=FIRST_LOW, maxval=FIRST_HIGH)
    true = exact_terms(np.concatenate([np.ones((1, 2)), fresh]), terms + ahead)
    said = free_run(model, true[:, :terms], ahead, raw)
    wrong = np.abs(said / true[:, terms:] - 1)
    early = free_run(model, true[:, :EARLY], ahead, raw)
    early_wrong = np.abs(early / true[:, EARLY : EARLY + ahead] - 1)
    seen = np.asarray(encode(jnp.asarray(true[:, :terms], jnp.float32), raw))[..., None]
    one_step = outputs(model, seen[:, :-1]).astype(np.float64) - seen[:, 1:]
    number = np.arange(1, terms + ahead + 1)
    return Verdict(
        float(wrong.max()),
        rows=(
            ("Fibonacci's own sequence alone", float(wrong[0].max())),
            (f"{ahead} terms from term {EARLY} on, inside the range", float(early_wrong.max())),
            (
                "mean squared error of the next number, as the network sees it",
                float((one_step**2).mean()),
            ),
        ),
        curves=(
            ("Fibonacci", number[terms - SHOWN_BEFORE :], true[0, terms - SHOWN_BEFORE :]),
            ("free run of the network", number[terms:], said[0]),
        ),
        axes=("term", "its value"),
    )


def make(variant: str = "ratios", terms: int = 50, ahead: int = 20) -> SequenceTask:
    """Describe the task; variant: ratios or raw."""
    if variant not in ("ratios", "raw"):
        raise ValueError(f"variant must be ratios or raw, got {variant}")
    if not (terms >= 2 * EARLY and ahead >= 1):
        raise ValueError(f"terms must be 10 or more and ahead 1 or more, got {terms} and {ahead}")
    raw = variant == "raw"
    name, told = ("term", "they are") if raw else ("log ratio of terms", "ratios")
    return SequenceTask(
        name="fibonacci",
        summary=f"Sums of the last two, learnt from {terms} terms as {told}: the next {ahead}",
        kind="step_value",
        inputs=(Channel(name, ""),),
        labels=(Channel(f"next {name}", ""),),
        draw=lambda key, steps: sequence(key, steps, raw),
        steps=terms - (1 if raw else 2),
        network=NetworkConfig(hidden=32),
        budget=BudgetConfig(updates=3000, batch=50, final_fraction=1e-3),
        merit=Merit(
            f"largest relative error on the {ahead} terms after the training range", bar=1e-3
        ),
        judge=lambda model, key: judge(model, key, terms, ahead, raw),
        scaled=not raw,
    )


TASK = make()
