"""Train a network on a sequence task: what the loop needs to know of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.config import BudgetConfig, TaskConfig
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.models.recurrent import merge
from kalmanrnn.tasks.batches import batch_of, make_feed, window_of
from kalmanrnn.tasks.model import Model, answer, empty, fit_scales, loss_of, make_model
from kalmanrnn.tasks.sampler import TRAINING, sequences
from kalmanrnn.tasks.task import Sample, SequenceTask
from kalmanrnn.tasks.validation import watcher
from kalmanrnn.training import checkpoint, loop
from kalmanrnn.training import update as learn
from kalmanrnn.training.loop import Progress, StepInfo, TrainingSpec
from kalmanrnn.training.run_directory import RunDirectory

SCALED_ON = 512


class TrainedTask(NamedTuple):
    """What training gives: the best network and the run's tally."""

    model: Model
    tally: Progress


def fit_task(
    task: SequenceTask,
    config: TaskConfig,
    folder: RunDirectory,
    *,
    stop: Callable[[int], bool] = lambda step: False,
    quiet: bool = False,
) -> TrainedTask:
    """Train on a task, going on from the folder's last checkpoint if there is one."""
    budget = config.budget
    with ProgressBar(budget.updates, quiet=quiet) as meter:
        meter.note(f"making sequences of {task.name}")
        feed = make_feed(task, budget)
        model, state, tally = start(task, config, folder)
        look = watcher(task, budget)
        if tally.step == 0:
            seen = look(model)
            tally = tally._replace(untrained_score=seen.score)
            loop.save_best(folder, model.params, model.scales, tally)
        window = window_of(task, budget)
        leg = StepInfo("learn", budget.batch * window, "steps", may_stop=False)
        update = updater(model, budget)

        def advance(state: learn.TrainState, tally: Progress, step: int):
            sample, fresh = feed(step)
            state, loss = update(state, sample, fresh and not budget.stateful)
            return state, tally, loss

        study = TrainingSpec(
            num_updates=budget.updates,
            step_info=lambda step: leg,
            num_validations=budget.num_validations,
            phase_ends=frozenset({budget.updates}),
            update=advance,
            validate=lambda state: look(model._replace(params=state.params)),
            norm=model.scales,
            patience=0,
        )
        _, tally = loop.train_loop(study, state, tally, folder, meter, stop)
    like = (model.params, model.scales)
    (params, scales), _ = checkpoint.load(folder.best, like)
    return TrainedTask(model._replace(params=params, scales=scales), tally)


def start(
    task: SequenceTask, config: TaskConfig, folder: RunDirectory
) -> tuple[Model, learn.TrainState, Progress]:
    """Return where learning begins, or where the folder's last checkpoint left it."""
    budget = config.budget
    model = make_model(task, config.network, seed=budget.seed)
    if not folder.last.exists():
        count = min(budget.sequences or SCALED_ON, SCALED_ON)
        some = sequences(task, budget.seed, TRAINING, count)
        model = model._replace(scales=fit_scales(task, some.x, some.y))
        return model, begin(model, budget), Progress()
    like = (begin(model, budget), model.scales)
    (state, scales), meta = checkpoint.load(folder.last, like)
    return model._replace(scales=scales), state, Progress(**meta)


def begin(model: Model, budget: BudgetConfig) -> learn.TrainState:
    """Return the state before the first update."""
    zero = jnp.zeros((), jnp.int32)
    opt = optimiser(budget).init(model.params)
    return learn.TrainState(model.params, opt, empty(model, batch_of(budget)), zero, zero)


def optimiser(budget: BudgetConfig) -> Any:
    """Return a budget's rule of descent."""
    return learn.make_optimizer(
        steps=budget.updates,
        rate=budget.learning_rate,
        warmup=budget.warmup,
        last_rate=budget.final_fraction,
        clip=budget.clip,
        kind=budget.optimiser,
    )


def updater(model: Model, budget: BudgetConfig) -> Callable:
    """Return the jitted update: (state, window of a batch, fresh) -> (state, loss)."""
    task, graph, scales = model.task, model.graph, model.scales
    transform = optimiser(budget)

    @jax.jit
    def one(state: learn.TrainState, sample: Sample, fresh: jax.Array):
        first = jax.tree.map(lambda a: jnp.where(fresh, 0.0, a), state.memory)

        def objective(params: Any) -> tuple[jax.Array, Any]:
            memory, raw = answer(task, merge(graph, params), scales, first, sample.x)
            return loss_of(task, scales, raw, sample), jax.lax.stop_gradient(memory)

        return learn.apply_gradients(transform, state, objective)

    return one
