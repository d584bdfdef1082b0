"""Predict a yes or no from one measurement in each of three months.

Samples are patients: 4,000 for training, each once an epoch. Timesteps are months: 3. Features
are what is measured in a month: 1, the bone density. So inputs are `[4000, 3, 1]` and outcomes
`[4000, 1]`. Units are the width of the network's memory; they are chosen freely and have nothing
to do with those. The memory starts empty with every patient.

Synthetic. A patient heals with probability 0.4. The density in month m = 0, 1, 2 is
level + gain m + noise [g/cm^2], all three normal: level 0.90 +- 0.10 for everybody; gain
0.018 +- 0.010 where the bone heals and -0.004 +- 0.020 where it does not; noise 0.006. So
the three months are a normal vector for either outcome, and the best possible decision is known:
yes where the posterior probability of healing is above one half. Levels differ far more
between patients than gains do: the differences between months decide.

Metric: accuracy behind that best decision in percentage points, on the same fresh patients.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import predict_sequences
from kalmanrnn.tasks.sampler import make_sampler
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, unweighted

HEALS = 0.4
LEVEL, LEVEL_SPREAD = 0.90, 0.10
GAIN, GAIN_SPREAD = (-0.004, 0.018), (0.020, 0.010)  # does not heal, heals
NOISE = 0.006
EVALUATED = 20_000


def patient(key: jax.Array, months: int) -> Sample:
    """Draw one patient: `[months, 1]` densities, `[1]` outcome."""
    outcome_key, level_key, gain_key, noise_key = jax.random.split(key, 4)
    heals = jax.random.bernoulli(outcome_key, HEALS)
    level = LEVEL + LEVEL_SPREAD * jax.random.normal(level_key)
    mean, spread = jnp.array(GAIN)[heals.astype(int)], jnp.array(GAIN_SPREAD)[heals.astype(int)]
    gain = mean + spread * jax.random.normal(gain_key)
    noise = NOISE * jax.random.normal(noise_key, (months,))
    density = level + gain * jnp.arange(months) + noise
    return unweighted(density[:, None], heals.astype(density.dtype)[None])


def log_density(x: np.ndarray, outcome: int) -> np.ndarray:
    """Return log p(x | outcome) of densities `[B, months]`, from the generator's own figures."""
    month = np.arange(x.shape[1])
    mean = LEVEL + GAIN[outcome] * month
    cov = LEVEL_SPREAD**2 + GAIN_SPREAD[outcome] ** 2 * np.outer(month, month)
    cov = cov + NOISE**2 * np.eye(len(month))
    r = x - mean
    _, log_det = np.linalg.slogdet(2 * np.pi * cov)
    return -0.5 * (log_det + np.einsum("bi,ij,bj->b", r, np.linalg.inv(cov), r))


def posterior(x: np.ndarray) -> np.ndarray:
    """Return the probability of healing given densities `[B, months]`, by Bayes' rule."""
    x = np.asarray(x, np.float64)
    odds = log_density(x, 1) - log_density(x, 0) + np.log(HEALS / (1 - HEALS))
    return 1 / (1 + np.exp(-odds))


def evaluate(model: Model, key: jax.Array) -> TaskMetrics:
    """Compare decisions with the best ones, patient by patient."""
    task = model.task
    sample = make_sampler(task.sample, task.steps)(key, jnp.arange(EVALUATED))
    x, heals = np.asarray(sample.x), np.asarray(sample.y)[:, 0] > 0.5
    predicted, best = predict_sequences(model, x)[:, 0], posterior(x[..., 0])
    right, best_right = (
        100 * np.mean((predicted > 0.5) == heals),
        100 * np.mean((best > 0.5) == heals),
    )
    edges = np.linspace(0, 1, 21)
    place = np.digitize(best, edges[1:-1])
    used = [at for at in range(20) if np.sum(place == at) >= 20]
    middle = np.array([best[place == at].mean() for at in used])
    mean_predicted = np.array([predicted[place == at].mean() for at in used])
    return TaskMetrics(
        float(best_right - right),
        rows=(
            ("accuracy of this network [%]", float(right)),
            ("accuracy of the best possible decision [%]", float(best_right)),
            ("accuracy of always saying no [%]", float(100 * np.mean(~heals))),
        ),
        notes=(f"Accuracies are on {EVALUATED:,} fresh patients, the same for all.",),
        curves=(
            ("best possible", np.array([0.0, 1.0]), np.array([0.0, 1.0])),
            ("this network, mean", middle, mean_predicted),
        ),
        axes=("probability of healing by Bayes' rule", "predicted probability"),
    )


def make(months: int = 3, patients: int = 4000, units: int = 16) -> SequenceTask:
    """Describe the task."""
    if not months >= 2:
        raise ValueError(f"months must be 2 or more, or there is no change to see, got {months}")
    return SequenceTask(
        name="bones",
        summary=f"{patients:,} patients, bone density in each of {months} months: does it heal",
        kind="sequence_class",
        inputs=(Channel("bone density", "g/cm^2"),),
        labels=(Channel("heals", ""),),
        sample=patient,
        steps=months,
        network=NetworkConfig(hidden=units),
        budget=BudgetConfig(
            updates=5000, batch=100, sequences=patients, learning_rate=1e-2, validation=2000
        ),
        metric=Metric("accuracy behind the best decision", unit="points", target=1.0),
        evaluate=evaluate,
        precompute=True,
    )


TASK = make()
