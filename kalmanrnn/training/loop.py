"""The visible loop of all training: update, log, validate, save; stop and resume bit for bit.

What is trained (a filter's student, a sequence task) comes as a `TrainingSpec`; nothing here
knows which.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.errors import DIVERGED, INTERRUPTED, UserError
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.core.renamed import with_new_names
from kalmanrnn.training import checkpoint
from kalmanrnn.training.optimizer import TrainState
from kalmanrnn.training.run_directory import RunDirectory

LOG_LINES = 200


class Progress(NamedTuple):
    """How far a run is; plain numbers, kept in its checkpoints.

    score: the best so far. untrained_score: before the first update. since_best: validations
    since the best. difference: the teacher's largest from filterpy. seconds: spent training.
    validation_error: the last validation's, as text. logged_s: `seconds` at the last log line.
    """

    step: int = 0
    score: float = math.inf
    untrained_score: float = math.inf
    since_best: int = 0
    difference: float = 0.0
    seconds: float = 0.0
    skipped: int = 0
    resets: int = 0
    validation_error: str = "not validated yet"
    logged_s: float = 0.0


class Validation(NamedTuple):
    """What a validation found: a score (the lower the better), and how to log it.

    summary: behind the loss on a progress line. message: a sentence. record: for the metrics.
    """

    score: float
    summary: str
    message: str
    record: dict[str, Any]


class StepInfo(NamedTuple):
    """What a progress line says of an update: its phase, and how much data it took in.

    may_stop: whether a student that no longer improves ends the run in this phase.
    """

    phase: str
    amount: int
    unit: str
    may_stop: bool


class TrainingSpec(NamedTuple):
    """One kind of training, as the loop needs it.

    step_info: of a step. num_validations: spread evenly, `phase_ends` besides.
    update: (state, progress, step) -> the same after one update, and its loss.
    validate: score a state. norm: scales that are saved beside the parameters.
    patience: validations without improvement after which a phase that may stops early.
    """

    num_updates: int
    step_info: Callable[[int], StepInfo]
    num_validations: int
    phase_ends: frozenset[int]
    update: Callable[[TrainState, Progress, int], tuple[TrainState, Progress, jax.Array]]
    validate: Callable[[TrainState], Validation]
    norm: Any
    patience: int


def progress_from(meta: Mapping[str, Any]) -> Progress:
    """Read the progress kept in a checkpoint, under old names too."""
    return Progress(**with_new_names("progress", meta))


def train_loop(
    spec: TrainingSpec,
    state: TrainState,
    progress: Progress,
    run: RunDirectory,
    bar: ProgressBar,
    stop: Callable[[int], bool],
) -> tuple[TrainState, Progress]:
    """Go through the updates from where the progress is.

    `stop(steps done)` true ends the run there: UserError with exit code INTERRUPTED, after
    everything has been saved.
    """
    losses: list[jax.Array] = []
    for step in range(progress.step, spec.num_updates):
        began = time.monotonic()
        info = spec.step_info(step)
        state, progress, loss = spec.update(state, progress, step)
        losses.append(loss)
        seconds = progress.seconds + time.monotonic() - began
        progress = progress._replace(step=step + 1, seconds=seconds)
        validates = is_validation_step(spec, progress.step)
        stopped = stop(progress.step)
        if validates or progress.step % max(1, spec.num_updates // LOG_LINES) == 0:
            progress = log_progress(run, bar, info, state, losses, progress)
            losses = []
        if validates:
            progress = log_validation(run, bar, state, spec.norm, spec.validate(state), progress)
        if validates or stopped:
            checkpoint.save(run.last, (state, spec.norm), progress._asdict())
        if stopped:
            raise interrupted(run, progress)
        if info.may_stop and progress.since_best >= spec.patience:
            bar.note(f"stopped early: no improvement in {progress.since_best} validations")
            break
    return state, progress


def is_validation_step(spec: TrainingSpec, done: int) -> bool:
    """Whether to validate after that many steps: evenly, and at each phase's end."""
    every = max(1, spec.num_updates // max(spec.num_validations, 1))
    return done in spec.phase_ends or done % every == 0


def log_progress(
    run: RunDirectory,
    bar: ProgressBar,
    info: StepInfo,
    state: TrainState,
    losses: list[jax.Array],
    progress: Progress,
) -> Progress:
    """Log a line and move the bar."""
    began = time.monotonic()
    loss = float(np.mean(jax.device_get(losses)))
    # The loop only dispatches updates; the time they take passes here.
    progress = progress._replace(seconds=progress.seconds + time.monotonic() - began)
    progress = progress._replace(skipped=int(state.skipped), resets=int(state.resets))
    rate = info.amount * len(losses) / max(progress.seconds - progress.logged_s, 1e-9)
    progress = progress._replace(logged_s=progress.seconds)
    record = {"step": progress.step, "phase": info.phase, "loss": loss}
    record |= {"seconds": progress.seconds, "skipped": progress.skipped}
    run.log(record | {"resets": progress.resets})
    bar.step(
        progress.step,
        info.phase,
        f"loss {loss:.4g}  validation {progress.validation_error}  {rate:,.0f} {info.unit}/s",
    )
    return progress


def log_validation(
    run: RunDirectory,
    bar: ProgressBar,
    state: TrainState,
    norm: Any,
    result: Validation,
    progress: Progress,
) -> Progress:
    """Keep the best student, and say how this one does."""
    better = result.score < progress.score
    progress = progress._replace(
        score=min(result.score, progress.score),
        since_best=0 if better else progress.since_best + 1,
        validation_error=result.summary,
    )
    if better:
        save_best(run, state.params, norm, progress)
    run.log({"step": progress.step, "score": result.score} | result.record)
    bar.note(f"step {progress.step}: {result.message}")
    return progress


def save_best(run: RunDirectory, params: Any, norm: Any, progress: Progress) -> None:
    """Write the model that a report and an export use."""
    checkpoint.save(run.best, (params, norm), progress._asdict())


def did_not_learn(run: RunDirectory, progress: Progress, what: str, cure: str) -> UserError:
    """Say that a network is no better than before its first update: exit code DIVERGED."""
    return UserError(
        "the network did not learn",
        why=f"after {progress.step} updates ({progress.skipped} skipped as not finite) it is no "
        f"better on the {what} than before the first",
        cure=f"{cure}; the losses are in {run.path}/metrics.csv",
        code=DIVERGED,
    )


def interrupted(run: RunDirectory, progress: Progress) -> UserError:
    """Say how to resume."""
    return UserError(
        f"stopped after step {progress.step}",
        why="interrupted; everything up to there is saved",
        cure=f"kalmanrnn train --resume {run.path}",
        code=INTERRUPTED,
    )
