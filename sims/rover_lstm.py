"""The rover without a filter: seven readings in, its pose out, with a recurrent network alone.

Synthetic: drives of the scenario `rover`, one step per compass reading (10 Hz). Seven inputs: the
means of both wheel speeds, gyro and forward acceleration since the last step, the compass, and
the last GPS reading (east, north). Three labels: east, north and heading in the world.

Many people begin like this, and `variant` removes their mistakes one by one:

asked   a stateful LSTM whose last layer is recurrent with three units, raw numbers
dense   the same with a dense output layer
scaled  inputs and labels scaled to unit spread as well
fresh   the memory empty at each drive's start as well

Even then the network must output absolute numbers, and a filter on the same readings is far
better; `kalmanrnn train --sim rover` shows what to do instead.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.data.teacher_runs import teacher_estimates
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.scenarios.simulation import simulate_batch, simulate_drive
from kalmanrnn.tasks.evaluation import stateful_error
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import predict_sequences
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, unweighted

ROVER = load_scenario("rover")
STEPS, BURN_IN = 300, 50
EVALUATED = 64
VARIANTS = ("asked", "dense", "scaled", "fresh")
INPUTS = (*ROVER.inputs, Channel("compass", "rad"), Channel("east", "m"), Channel("north", "m"))
LABELS = (Channel("east", "m"), Channel("north", "m"), Channel("heading", "rad"))


def readings(drive: Drive) -> Sample:
    """Lay out one drive: a step at each event, with the readings since the last."""
    mean = jnp.mean(drive.packets.u, axis=1)
    late = jnp.concatenate([jnp.zeros_like(mean[:1]), mean[:-1]])

    def hold(last, now):
        fix, seen = now
        last = jnp.where(seen, fix, last)
        return last, last

    assert drive.truth is not None
    compass, fixes = drive.packets.z[:, :1], drive.packets.z[:, 1:]
    _, held = jax.lax.scan(hold, fixes[0], (fixes, drive.packets.seen[:, 1]))
    return unweighted(jnp.concatenate([late, compass, held], axis=1), drive.truth)


def sample(key: jax.Array, steps: int) -> Sample:
    """Draw a drive."""
    return readings(simulate_drive(ROVER, key, events=steps))


def single(a: np.ndarray) -> np.ndarray:
    """Convert float64 to float32, nothing else."""
    a = np.asarray(a)
    return a.astype(np.float32) if a.dtype == np.float64 else a


def pose_error(off: np.ndarray) -> tuple[float, float]:
    """Return the position's RMS error [m] and the heading's [deg], without the first 5 s."""
    off = off[:, BURN_IN:]
    turned = np.arctan2(np.sin(off[..., 2]), np.cos(off[..., 2]))
    position = np.sqrt(np.mean(np.sum(off[..., :2] ** 2, axis=-1)))
    return float(position), float(np.degrees(np.sqrt(np.mean(turned**2))))


def evaluate(model: Model, key: jax.Array) -> TaskMetrics:
    """Compare with the UKF, and with the last GPS reading and compass, on fresh drives."""
    drives = simulate_batch(ROVER, key, EVALUATED, STEPS / ROVER.event_hz)
    test = jax.tree.map(np.asarray, jax.vmap(readings)(jax.tree.map(single, drives)))
    if model.task.budget.stateful:
        out = stateful_error(model, test)[1]
    else:
        out = predict_sequences(model, test.x)
    position, heading = pose_error(out - test.y)
    ukf = pose_error(
        np.asarray(teacher_estimates(ROVER, "ukf", drives).mean) - np.asarray(drives.truth)
    )
    raw = pose_error(test.x[..., [5, 6, 4]] - test.y)
    rows = (
        ("UKF", ukf[0]),
        ("last GPS reading", raw[0]),
        ("times the UKF's", position / ukf[0]),
        ("heading of this network [deg]", heading),
        ("heading of the UKF [deg]", ukf[1]),
        ("heading of the compass [deg]", raw[1]),
    )
    return TaskMetrics(position, rows)


def make(variant: str = "fresh") -> SequenceTask:
    """Describe the task; variant: asked, dense, scaled or fresh."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    cures = VARIANTS.index(variant)
    return SequenceTask(
        name="rover_lstm",
        summary="The rover without a filter: seven readings in, east, north and heading out",
        kind="step_value",
        inputs=INPUTS,
        labels=LABELS,
        sample=sample,
        steps=STEPS,
        network=NetworkConfig(hidden=64, recurrent_output=cures < 1),
        budget=BudgetConfig(
            updates=1500,
            batch=32,
            window=100,
            stateful=cures < 3,
            validation=32,
            test=64,
            optimiser="muon",
        ),
        metric=Metric("position error", "m"),
        evaluate=evaluate,
        normalise=cures >= 2,
        dt_s=1 / ROVER.event_hz,
        notes=(
            "A network that outputs absolute numbers is no match for a filter: "
            "`kalmanrnn train --sim rover` lets it output the filter's gain instead.",
        ),
    )


TASK = make()
