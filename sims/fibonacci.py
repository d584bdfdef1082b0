"""Predict the next terms of sequences in which each term is the sum of the two before.

Synthetic. A sequence begins with two numbers uniform in 1 to 10 and continues as
x[n] = x[n-1] + x[n-2], without noise; Fibonacci's own, 1, 1, 2, 3, ..., is evaluated with them.
The network is trained on the first `terms` terms: at every step it predicts the next one.

variant=ratios: it sees log(x[n] / x[n-1]) and predicts the next such logarithm. These stay near
log 1.618 however far a sequence has grown. variant=raw: it sees and predicts the numbers
themselves. Fifty terms span ten powers of ten, the loss is that of the last few alone, and
outputs have to exceed all training numbers. It fails, and is kept to show how.

Metric: the largest relative error on the `ahead` terms after the training range, each
prediction fed back as the next input, over 1,000 fresh sequences and Fibonacci's own.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.model import Model, initial_state
from kalmanrnn.tasks.predict import predict_sequences, run_from
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, unweighted

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
    """Encode terms `[..., N]` for the network: as they are, or as N - 1 log ratios."""
    return x if raw else jnp.log(x[..., 1:] / x[..., :-1])


def sequence(key: jax.Array, steps: int, raw: bool) -> Sample:
    """Draw a sequence: at each step an input and the next one."""
    first = jax.random.uniform(key, (2,), minval=FIRST_LOW, maxval=FIRST_HIGH)
    seen = encode(terms_of(first, steps + (1 if raw else 2)), raw)[:, None]
    return unweighted(seen[:-1], seen[1:])


def rollout(model: Model, known: np.ndarray, ahead: int, raw: bool) -> np.ndarray:
    """Continue known terms `[B, N]` by `ahead` terms, every prediction fed back: `[B, ahead]`."""
    seen = np.asarray(encode(jnp.asarray(known, jnp.float32), raw))[..., None]
    memory, out = run_from(model, initial_state(model, len(seen)), seen)
    fed = [np.asarray(out[:, -1:])]
    while len(fed) < ahead:
        memory, out = run_from(model, memory, fed[-1])
        fed.append(np.asarray(out))
    predicted = np.concatenate(fed, axis=1)[..., 0].astype(np.float64)
    return predicted if raw else known[:, -1:] * np.exp(np.cumsum(predicted, axis=1))


def evaluate(model: Model, key: jax.Array, terms: int, ahead: int, raw: bool) -> TaskMetrics:
    """Continue fresh sequences, and Fibonacci's own in the first row, beyond the training range."""
    count = model.task.budget.test
    fresh = jax.random.uniform(key, (count, 2), minval=FIRST_LOW, maxval=FIRST_HIGH)
    true = exact_terms(np.concatenate([np.ones((1, 2)), fresh]), terms + ahead)
    predicted = rollout(model, true[:, :terms], ahead, raw)
    wrong = np.abs(predicted / true[:, terms:] - 1)
    early = rollout(model, true[:, :EARLY], ahead, raw)
    early_wrong = np.abs(early / true[:, EARLY : EARLY + ahead] - 1)
    seen = np.asarray(encode(jnp.asarray(true[:, :terms], jnp.float32), raw))[..., None]
    one_step = predict_sequences(model, seen[:, :-1]).astype(np.float64) - seen[:, 1:]
    number = np.arange(1, terms + ahead + 1)
    return TaskMetrics(
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
            ("rollout of the network", number[terms:], predicted[0]),
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
    name, encoding = ("term", "they are") if raw else ("log ratio of terms", "ratios")
    return SequenceTask(
        name="fibonacci",
        summary=f"Sums of the last two, learnt from {terms} terms as {encoding}: the next {ahead}",
        kind="step_value",
        inputs=(Channel(name, ""),),
        labels=(Channel(f"next {name}", ""),),
        sample=lambda key, steps: sequence(key, steps, raw),
        steps=terms - (1 if raw else 2),
        network=NetworkConfig(hidden=32),
        budget=BudgetConfig(updates=3000, batch=50, final_fraction=1e-3),
        metric=Metric(
            f"largest relative error on the {ahead} terms after the training range", target=1e-3
        ),
        evaluate=lambda model, key: evaluate(model, key, terms, ahead, raw),
        normalise=not raw,
    )


TASK = make()
