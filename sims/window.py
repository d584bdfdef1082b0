"""Forecast the next 20 values of a noisy chaotic series from its last 20.

Twenty values in means twenty steps, one after the other, of one feature. The 300 units are the
width of the memory, unrelated to the steps. After the last step that memory is mapped to twenty
numbers, the forecast.

Synthetic. The series is that of Mackey and Glass (1977),
dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t), integrated by the fourth-order Runge-Kutta
rule in steps of 0.1 from a constant history uniform in 0.5 to 1.3, the first 300 units of time
left out. A value is taken every `every` = 3 units of time, and noise of 0.02 is added (the series
itself has a spread of 0.23). It goes around in about 50 units of time, so 20 values see one turn.

Two forecasts are compared with the network's: seasonal-naive (the values one season ago, the
season that does best on training windows) and linear regression of the 20 values on the 20 before,
fitted to 20,000 training windows. Metric: root mean square error over that of the better
one of the two, all against the noisy values that followed.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import predict_sequences
from kalmanrnn.tasks.sampler import TRAINING, make_sampler, sample_sequences
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, unweighted

DELAY, STEP, LEFT_OUT = 17.0, 0.1, 300.0
BACK = round(DELAY / STEP)
FITTED_ON, EVALUATED = 20_000, 5_000


def slope(x: jax.Array, delayed: jax.Array) -> jax.Array:
    """Return dx/dt of Mackey and Glass, equation 4b."""
    return 0.2 * delayed / (1 + delayed**10) - 0.1 * x


def integrate(start: jax.Array, steps: int) -> jax.Array:
    """Integrate from a constant history: `[steps]` values, STEP apart."""

    def advance(carry: tuple[jax.Array, jax.Array], at: jax.Array):
        x, past = carry
        place = at % BACK
        old, next_old = past[place], past[(place + 1) % BACK]
        middle = (old + next_old) / 2
        k1 = slope(x, old)
        k2 = slope(x + STEP / 2 * k1, middle)
        k3 = slope(x + STEP / 2 * k2, middle)
        k4 = slope(x + STEP * k3, next_old)
        after = x + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return (after, past.at[place].set(x)), x

    past = jnp.full(BACK, start)
    return jax.lax.scan(advance, (start, past), jnp.arange(steps))[1]


def window(key: jax.Array, inputs: int, outputs: int, every: int, noise: float) -> Sample:
    """Draw a series; its first values and those that follow."""
    start_key, noise_key = jax.random.split(key)
    start = jax.random.uniform(start_key, minval=0.5, maxval=1.3)
    first, stride = round(LEFT_OUT / STEP), round(every / STEP)
    count = inputs + outputs
    x = integrate(start, first + count * stride)[first::stride]
    x = (x + noise * jax.random.normal(noise_key, (count,)))[:, None]
    return unweighted(x[:inputs], x[inputs:])


def seasonal(x: np.ndarray, season: int, ahead: int) -> np.ndarray:
    """Repeat the last season of `[B, T]` for `ahead` steps."""
    return x[:, x.shape[1] - season + np.arange(ahead) % season]


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit y `[B, N]` to x `[B, T]` and a constant by least squares: `[T + 1, N]`."""
    return np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]


def rmse(difference: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt((difference**2).mean()))


def evaluate(model: Model, key: jax.Array, noise: float) -> TaskMetrics:
    """Compare with both other forecasts on the same fresh windows."""
    task = model.task
    ahead = task.horizon
    training = sample_sequences(task, task.budget.seed, TRAINING, FITTED_ON)
    x, y = (np.asarray(a, np.float64)[..., 0] for a in training[:2])
    seasons = range(1, task.steps + 1)
    season = min(seasons, key=lambda s: rmse(seasonal(x, s, ahead) - y))
    weights = regression(x, y)
    fresh = make_sampler(task.sample, task.steps)(key, jnp.arange(EVALUATED))
    x, y = (np.asarray(a, np.float64)[..., 0] for a in fresh[:2])
    wrong = {
        "this network": predict_sequences(model, np.asarray(fresh.x))[..., 0] - y,
        f"seasonal-naive, season of {season}": seasonal(x, season, ahead) - y,
        "linear regression": np.c_[x, np.ones(len(x))] @ weights - y,
    }
    whole = {name: rmse(w) for name, w in wrong.items()}
    mine, *others = whole.values()
    steps = np.arange(1, ahead + 1)
    by_step = [(name, steps, np.sqrt((w**2).mean(axis=0))) for name, w in wrong.items()]
    return TaskMetrics(
        mine / min(others),
        rows=(
            *((f"root mean square error, {name}", value) for name, value in whole.items()),
            ("root mean square error, noise alone", noise),
        ),
        curves=(*by_step, ("noise alone", steps, np.full(ahead, noise))),
        axes=("steps ahead", "root mean square error"),
    )


def make(
    inputs: int = 20, outputs: int = 20, units: int = 300, every: int = 3, noise: float = 0.02
) -> SequenceTask:
    """Describe the task."""
    if not (inputs >= 1 and every >= 1 and noise >= 0):
        raise ValueError(
            f"inputs and every must be 1 or more and noise 0 or more, "
            f"got {inputs}, {every} and {noise}"
        )
    value = (Channel("value", ""),)
    return SequenceTask(
        name="window",
        summary=f"A noisy Mackey-Glass series: the last {inputs} values in, the next {outputs} out",
        kind="forecast",
        inputs=value,
        labels=value,
        sample=lambda key, steps: window(key, steps, outputs, every, noise),
        steps=inputs,
        horizon=outputs,
        network=NetworkConfig(hidden=units),
        budget=BudgetConfig(
            updates=2000, batch=50, sequences=20_000, learning_rate=2e-3, final_fraction=0.01
        ),
        metric=Metric("root mean square error over the better baseline's", target=1.0),
        evaluate=lambda model, key: evaluate(model, key, noise),
        precompute=True,
    )


TASK = make()
