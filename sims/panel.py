"""Predict a value per day of a thousand independent series of unequal length with one network.

Each series is one shop; a batch holds several shops, each with its own memory that is empty on
its first day. Nothing flows along the batch axis, so nothing leaks from one shop
into another; days after the end of a shorter series have weight 0.

Synthetic. Lengths are uniform in 400 to 800 days. Eight features a day: temperature (a yearly sine
of random phase and a slow daily part), rain, price, promotion (begins with probability 0.05
and continues with 0.7), weekend and holiday as 0 or 1, advertising, and yesterday's value. Value:

    level of the shop (normal, 0.5; its gain on all below is uniform in 0.7 to 1.3)
    + 1.2 exp(-((temperature - 0.5) / 0.6)^2)        best at one temperature
    - 0.8 rain weekend                               rain matters only at weekends
    + 1.0 promotion (1 - stock) exp(-price / 2)      goods in stock are not bought again
    + 0.8 tanh(2 goodwill)^2 + 0.5 holiday
    + 0.3 (yesterday's deviation from all that) + noise of 0.25

where stock goes 0.85 of the way on each day and 0.15 towards promotion, and goodwill likewise
with 0.95, 0.3 times advertising coming in. Both are hidden, and last for weeks.

The baseline is a ridge regression for each fresh series: on that series' features of the last
`lags` days, fitted to its first 70 % (the penalty chosen on the last quarter of these,
then fitted to all of them). It knows its own shop's past, the network was trained on others.
Metric: root mean square error over the ridge's, both on the last 30 % of every series.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import predict_ragged
from kalmanrnn.tasks.ragged import RaggedSequences, sample_ragged
from kalmanrnn.tasks.sampler import TEST
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, unweighted

SHORTEST, LONGEST, USUAL = 400, 800, 600
NOISE = 0.25
FITTED, VALIDATED = 0.70, 0.25
PENALTIES = np.logspace(-1, 4, 11)
FEATURES = ("temperature", "rain", "price", "promotion", "weekend", "holiday", "advertising")


def shop(key: jax.Array, days: int) -> Sample:
    """Draw one series: `[days, 8]` features, `[days, 1]` values."""
    keys = jax.random.split(key, 10)
    day = jnp.arange(days)
    start = jax.random.uniform(keys[0], (2,))
    slow = smooth(0.3 * jax.random.normal(keys[1], (days,)), 0.8)
    temperature = jnp.sin(2 * jnp.pi * (day / 365 + start[0])) + slow
    rain = jax.random.bernoulli(keys[2], 0.3, (days,)) * 1.0
    price = smooth(0.6 * jax.random.normal(keys[3], (days,)), 0.9)
    promotion = runs(jax.random.uniform(keys[4], (days,)), 0.05, 0.7)
    weekend = ((day + jnp.floor(7 * start[1])) % 7 >= 5) * 1.0
    holiday = jax.random.bernoulli(keys[5], 0.03, (days,)) * 1.0
    advertising = jax.random.normal(keys[6], (days,))
    stock = smooth(0.15 * promotion, 0.85)
    goodwill = smooth(0.3 * advertising, 0.95)
    effect = (
        1.2 * jnp.exp(-(((temperature - 0.5) / 0.6) ** 2))
        - 0.8 * rain * weekend
        + promotion * (1 - stock) * jnp.exp(-price / 2)
        + 0.8 * jnp.tanh(2 * goodwill) ** 2
        + 0.5 * holiday
    )
    gain = jax.random.uniform(keys[7], minval=0.7, maxval=1.3)
    level = 0.5 * jax.random.normal(keys[8])
    value = level + gain * effect + smooth(NOISE * jax.random.normal(keys[9], (days,)), 0.3)
    yesterday = jnp.concatenate([value[:1] * 0, value[:-1]])
    columns = (temperature, rain, price, promotion, weekend, holiday, advertising, yesterday)
    return unweighted(jnp.stack(columns, axis=1), value[:, None])


def smooth(x: jax.Array, keep: float) -> jax.Array:
    """Return s with s[t] = keep s[t - 1] + x[t]."""

    def advance(s: jax.Array, now: jax.Array) -> tuple[jax.Array, jax.Array]:
        s = keep * s + now
        return s, s

    return jax.lax.scan(advance, jnp.zeros(()), x)[1]


def runs(uniform: jax.Array, begins: float, continues: float) -> jax.Array:
    """Return 0 or 1 a day: on with a probability that depends on the day before."""

    def advance(on: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        on = (u < jnp.where(on > 0, continues, begins)) * 1.0
        return on, on

    return jax.lax.scan(advance, jnp.zeros(()), uniform)[1]


def lengths(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw how many days each series has."""
    return rng.integers(SHORTEST, LONGEST + 1, count)


def lagged(x: np.ndarray, lags: int) -> np.ndarray:
    """Concatenate features `[T, F]` of each day and the `lags - 1` days before, 0 at first."""
    before = np.concatenate([np.zeros((lags - 1, x.shape[1])), x])
    return np.concatenate([before[lags - 1 - k : len(before) - k] for k in range(lags)], axis=1)


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Fit y `[T]` to x `[T, F]`, whose first column is 1 and has no penalty."""
    penalties = np.full(x.shape[1], penalty)
    penalties[0] = 0.0
    return np.linalg.solve(x.T @ x + np.diag(penalties), x.T @ y)


def ridge_forecast(x: np.ndarray, y: np.ndarray, fitted: int, lags: int) -> np.ndarray:
    """Fit a ridge to a series' first `fitted` days; return its predictions for all days."""
    wide = lagged(np.asarray(x, np.float64), lags)
    spread = wide[:fitted].std(axis=0)
    wide = (wide - wide[:fitted].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    wide = np.c_[np.ones(len(wide)), wide]
    validated = fitted - round(VALIDATED * fitted)

    def error(penalty: float) -> float:
        w = ridge(wide[:validated], y[:validated], penalty)
        return float(((wide[validated:fitted] @ w - y[validated:fitted]) ** 2).mean())

    return wide @ ridge(wide[:fitted], y[:fitted], min(PENALTIES, key=error))


def evaluate(model: Model, key: jax.Array, lags: int) -> TaskMetrics:
    """Compare with a separate ridge regression for each of some fresh series."""
    budget = model.task.budget
    data = sample_ragged(model.task, budget.seed, TEST, budget.test)
    batch = min(budget.batch, budget.test)
    predicted = predict_ragged(model, data, batch=batch, window=budget.window or model.task.steps)
    squares = np.array([last_part(data, predicted, row, lags) for row in range(len(data.lengths))])
    mine, other, naive, days = squares.T
    whole = [float(np.sqrt(a.sum() / days.sum())) for a in (mine, other, naive)]
    each = np.sqrt(squares[:, :3] / days[:, None])
    order = np.argsort(each[:, 1])
    rank = np.arange(1, len(order) + 1)
    return TaskMetrics(
        whole[0] / whole[1],
        rows=(
            ("root mean square error, this network", whole[0]),
            ("root mean square error, a ridge for each series", whole[1]),
            ("root mean square error, yesterday's value", whole[2]),
            ("root mean square error, noise alone", NOISE),
            (
                "series on which the ridge is better [%]",
                100 * float((each[:, 0] > each[:, 1]).mean()),
            ),
        ),
        curves=(
            ("a ridge for each series", rank, each[order, 1]),
            ("this network", rank, each[order, 0]),
        ),
        axes=("fresh series, in the order of the ridge's error", "root mean square error"),
    )


def last_part(
    data: RaggedSequences, predicted: np.ndarray, row: int, lags: int
) -> tuple[float, ...]:
    """Return squared errors over a series' last part (network, ridge, naive), and its days."""
    place = slice(data.starts[row], data.starts[row + 1])
    x, y = data.x[place], data.y[place, 0].astype(np.float64)
    fitted = round(FITTED * len(y))
    predictions = (predicted[place, 0], ridge_forecast(x, y, fitted, lags), x[:, -1])
    sums = [float(((a - y)[fitted:] ** 2).sum()) for a in predictions]
    return (*sums, float(len(y) - fitted))


def make(series: int = 1000, lags: int = 14) -> SequenceTask:
    """Describe the task."""
    if not lags >= 1:
        raise ValueError(f"lags must be 1 or more, got {lags}")
    return SequenceTask(
        name="panel",
        summary=f"{series:,} series of {SHORTEST} to {LONGEST} days, 8 features: a value per day",
        kind="step_value",
        inputs=(*(Channel(name, "") for name in FEATURES), Channel("yesterday's value", "")),
        labels=(Channel("value", ""),),
        sample=shop,
        steps=USUAL,
        lengths=lengths,
        network=NetworkConfig(hidden=48, chrono_steps=60),
        budget=BudgetConfig(
            updates=2400, batch=50, sequences=series, window=100, validation=100, test=300
        ),
        metric=Metric("root mean square error over the ridges'", target=1.0),
        evaluate=lambda model, key: evaluate(model, key, lags),
        precompute=True,
    )


TASK = make()
