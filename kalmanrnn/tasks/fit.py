"""Train a network on a sequence task: its `TrainingSpec` for the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kalmanrnn.core.config import BudgetConfig, TaskConfig
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.models.recurrent import merge
from kalmanrnn.tasks.batches import batch_size, make_batches, window_length
from kalmanrnn.tasks.model import Model, fit_scales, forward, initial_state, make_model, task_loss
from kalmanrnn.tasks.sampler import TRAINING, sample_sequences
from kalmanrnn.tasks.task import Sample, SequenceTask
from kalmanrnn.tasks.validation import make_validation
from kalmanrnn.training import checkpoint, loop
from kalmanrnn.training.loop import Progress, StepInfo, TrainingSpec, progress_from
from kalmanrnn.training.optimizer import TrainState, apply_gradients, make_optimizer
from kalmanrnn.training.run_directory import RunDirectory

NORMALISED_ON = 512


class TrainedTask(NamedTuple):
    """The best network of a training, and the run's progress."""

    model: Model
    progress: Progress


def fit_task(
    task: SequenceTask,
    config: TaskConfig,
    folder: RunDirectory,
    *,
    stop: Callable[[int], bool] = lambda step: False,
    quiet: bool = False,
) -> TrainedTask:
    """Train on a task, resuming from the folder's last checkpoint if there is one."""
    budget = config.budget
    with ProgressBar(budget.updates, quiet=quiet) as meter:
        meter.note(f"making sequences of {task.name}")
        batch_at = make_batches(task, budget)
        model, state, progress = init_or_restore(task, config, folder)
        validate = make_validation(task, budget)
        if progress.step == 0:
            validation = validate(model)
            progress = progress._replace(untrained_score=validation.score)
            loop.save_best(folder, model.params, model.scales, progress)
        window = window_length(task, budget)
        info = StepInfo("learn", budget.batch * window, "steps", may_stop=False)
        update = make_update(model, budget)

        def advance(state: TrainState, progress: Progress, step: int):
            sample, fresh = batch_at(step)
            state, loss = update(state, sample, fresh and not budget.stateful)
            return state, progress, loss

        spec = TrainingSpec(
            num_updates=budget.updates,
            step_info=lambda step: info,
            num_validations=budget.num_validations,
            phase_ends=frozenset({budget.updates}),
            update=advance,
            validate=lambda state: validate(model._replace(params=state.params)),
            norm=model.scales,
            patience=0,
        )
        _, progress = loop.train_loop(spec, state, progress, folder, meter, stop)
    like = (model.params, model.scales)
    (params, scales), _ = checkpoint.load(folder.best, like)
    return TrainedTask(model._replace(params=params, scales=scales), progress)


def init_or_restore(
    task: SequenceTask, config: TaskConfig, folder: RunDirectory
) -> tuple[Model, TrainState, Progress]:
    """Return the initial state, or that of the folder's last checkpoint."""
    budget = config.budget
    model = make_model(task, config.network, seed=budget.seed)
    if not folder.last.exists():
        count = min(budget.sequences or NORMALISED_ON, NORMALISED_ON)
        some = sample_sequences(task, budget.seed, TRAINING, count)
        model = model._replace(scales=fit_scales(task, some.x, some.y))
        return model, init_state(model, budget), Progress()
    like = (init_state(model, budget), model.scales)
    (state, scales), meta = checkpoint.load(folder.last, like)
    return model._replace(scales=scales), state, progress_from(meta)


def init_state(model: Model, budget: BudgetConfig) -> TrainState:
    """Return the state before the first update."""
    zero = jnp.zeros((), jnp.int32)
    opt = task_optimizer(budget).init(model.params)
    return TrainState(model.params, opt, initial_state(model, batch_size(budget)), zero, zero)


def task_optimizer(budget: BudgetConfig) -> Any:
    """Return the optimizer of a budget."""
    return make_optimizer(
        steps=budget.updates,
        learning_rate=budget.learning_rate,
        warmup=budget.warmup,
        final_fraction=budget.final_fraction,
        clip=budget.clip,
        kind=budget.optimiser,
    )


def make_update(model: Model, budget: BudgetConfig) -> Callable:
    """Return the jitted update: (state, window of a batch, fresh) -> (state, loss)."""
    task, graph, scales = model.task, model.graph, model.scales
    transform = task_optimizer(budget)

    @jax.jit
    def one(state: TrainState, sample: Sample, fresh: jax.Array):
        first = jax.tree.map(lambda a: jnp.where(fresh, 0.0, a), state.memory)

        def objective(params: Any) -> tuple[jax.Array, Any]:
            memory, raw = forward(task, merge(graph, params), scales, first, sample.x)
            return task_loss(task, scales, raw, sample), jax.lax.stop_gradient(memory)

        return apply_gradients(transform, state, objective)

    return one
