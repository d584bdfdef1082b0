"""Train a filter's student: distil along its teacher's run, then roll out on its own output.

Both phases go through windows of training sets that a second process makes ahead of time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax

from kalmanrnn.core.config import RunConfig, is_external
from kalmanrnn.core.errors import UsageError
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.data.datasets import VALIDATION
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.prefetch import prefetch
from kalmanrnn.data.teacher_runs import TeacherRun
from kalmanrnn.models.student import Normaliser, Student, blank_normaliser, make_student
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training import checkpoint, loop
from kalmanrnn.training.batches import batch_indices, layout_index, prepare_set
from kalmanrnn.training.loop import Progress, StepInfo, TrainingSpec
from kalmanrnn.training.optimizer import TrainState
from kalmanrnn.training.phases import Phase, locate, phases
from kalmanrnn.training.run_directory import RunDirectory, open_run
from kalmanrnn.training.trained import TrainedStudent
from kalmanrnn.training.update import init_state, make_update
from kalmanrnn.training.validation import describe, make_validator

Fetch = Callable[[int], TeacherRun]


def fit(
    scenario: Scenario,
    config: RunConfig,
    run: RunDirectory,
    *,
    stop: Callable[[int], bool] = lambda step: False,
    quiet: bool = False,
) -> TrainedStudent:
    """Train a student of a scenario, resuming from the run's last checkpoint if there is one.

    `stop(steps done)` true ends the run there as an interruption does: UserError with exit code
    INTERRUPTED, after everything has been saved.
    """
    check_target(config)
    student, params = make_student(scenario, config.student, seed=config.train.seed)
    plan = phases(config.train, config.data, steps_in_drive(scenario, config))
    num_updates = plan[-1].first_step + plan[-1].steps
    last_set = max((p.first_set + p.sets - 1 for p in plan), default=0)
    with (
        prefetch(scenario, config, last_set, run.path, quiet=quiet) as fetch,
        ProgressBar(num_updates, quiet=quiet) as bar,
    ):
        bar.note(f"making drives and running {teacher_name(config.data.teacher)} over them")
        dataset = fetch(VALIDATION)
        log_failures(bar, dataset)
        state, norm, progress = init_or_restore(student, config, run, plan, params, fetch)
        burn_in = min(burn_in_events(scenario, config), dataset.run.mean.shape[1] // 2)
        validate = make_validator(student, dataset, burn_in)
        if progress.step == 0:
            score = validate(params, norm).score
            progress = progress._replace(untrained_score=score, difference=dataset.difference)
            loop.save_best(run, params, norm, progress)
        spec = TrainingSpec(
            num_updates=num_updates,
            step_info=partial(step_info, student, plan),
            num_validations=config.train.num_validations,
            phase_ends=frozenset(phase.first_step + phase.steps for phase in plan),
            update=make_step(student, config, plan, norm, fetch, bar),
            validate=lambda state: describe(validate(state.params, norm)),
            norm=norm,
            patience=config.train.patience,
        )
        _, progress = loop.train_loop(spec, state, progress, run, bar, stop)
    (params, norm), _ = checkpoint.load(run.best, (params, norm))
    return TrainedStudent(student, params, norm, progress, config)


def make_step(
    student: Student,
    config: RunConfig,
    plan: list[Phase],
    norm: Normaliser,
    fetch: Fetch,
    bar: ProgressBar,
) -> Callable[[TrainState, Progress, int], tuple[TrainState, Progress, jax.Array]]:
    """Return the loop's update: start a phase, lay out a set where one begins, update."""
    phase: Phase | None = None
    layout = (-1, -1)
    update: Any = None
    data: Any = None

    def step(state: TrainState, progress: Progress, index: int):
        nonlocal phase, layout, update, data
        position = locate(plan, index)
        if position.phase is not phase:
            phase = position.phase
            by_correction = is_external(config.data.teacher)
            update = make_update(student, norm, config.train, phase, by_correction=by_correction)
            state, progress = start_phase(student, config, phase, index, state, progress)
        if (position.set_index, layout_index(position)) != layout:
            dataset = fetch(position.set_index)
            log_failures(bar, dataset)
            data = prepare_set(student, norm, config.train, position, dataset)
            difference = max(progress.difference, dataset.difference)
            progress = progress._replace(difference=difference)
            layout = (position.set_index, layout_index(position))
        drives = batch_indices(config.train.seed, position, config.data.drives)
        first = position.window * position.phase.window
        state, loss = update(state, data, drives, first, position.window == 0)
        return state, progress, loss

    return step


def step_info(student: Student, plan: list[Phase], index: int) -> StepInfo:
    """Say which phase a step belongs to, and how many ticks it goes over."""
    phase = locate(plan, index).phase
    ticks = 1 if student.config.every == "tick" else student.scenario.ticks_per_event
    amount = ticks * phase.batch * phase.window
    return StepInfo(phase.name, amount, "ticks", may_stop=phase.name == "rollout")


def start_phase(
    student: Student,
    config: RunConfig,
    phase: Phase,
    step: int,
    state: TrainState,
    progress: Progress,
) -> tuple[TrainState, Progress]:
    """Begin a phase with fresh optimizer, memory and patience; or go on inside it."""
    if step != phase.first_step or not step:
        return state, progress
    state = init_state(student, config.train, phase, state.params, state)
    return state, progress._replace(since_best=0)


def check_target(config: RunConfig) -> None:
    """Refuse a target that has no truth: at ticks, or of logs."""
    if config.logs.log and config.train.target != "teacher":
        raise UsageError(
            f"--target {config.train.target} does not go with --log",
            why="logs have no truth to learn from",
            cure="--target teacher",
        )
    if config.student.every == "tick" and config.train.target != "teacher":
        raise UsageError(
            f"--every tick does not go with --target {config.train.target}",
            why="drives keep the truth at events, not at every tick",
            cure="--target teacher, or --every event",
        )


def steps_in_drive(scenario: Scenario, config: RunConfig) -> int:
    """Count the steps a student takes in one drive: its events, or its ticks."""
    events = round(config.data.seconds * scenario.event_hz)
    return events * (scenario.ticks_per_event if config.student.every == "tick" else 1)


def burn_in_events(scenario: Scenario, config: RunConfig) -> int:
    """Events at a drive's start that are excluded from metrics."""
    events = round(config.data.seconds * scenario.event_hz)
    return min(round(config.data.skip_s * scenario.event_hz), events // 2)


def init_or_restore(
    student: Student,
    config: RunConfig,
    run: RunDirectory,
    plan: list[Phase],
    params: Any,
    fetch: Fetch,
) -> tuple[TrainState, Normaliser, Progress]:
    """Return where training begins, or where the run's last checkpoint left it."""
    if not run.last.exists():
        if config.logs.init:
            params, norm = params_of_run(student, config, params)
        else:
            first = fetch(0)
            burn_in = burn_in_events(student.scenario, config)
            if config.student.every == "tick":
                burn_in *= student.scenario.ticks_per_event
            norm = fit_normaliser(student, first.drives, first.run, burn_in)
        return init_state(student, config.train, plan[0], params), norm, Progress()
    progress = loop.progress_from(checkpoint.meta_of(run.last))
    # The memory on disk is that of the step before: the next one may begin another phase.
    phase = locate(plan, progress.step - 1).phase
    like = (init_state(student, config.train, phase, params), blank_normaliser(student))
    (state, norm), _ = checkpoint.load(run.last, like)
    return state, norm, progress


def params_of_run(student: Student, config: RunConfig, params: Any) -> tuple[Any, Normaliser]:
    """Take parameters and scales from the run named by `--init`; UserError where they differ."""
    like = (params, blank_normaliser(student))
    (params, norm), _ = checkpoint.load(open_run(Path(config.logs.init)).best, like)
    return params, norm


def teacher_name(teacher: str) -> str:
    """Name a teacher in a sentence."""
    return teacher if is_external(teacher) else f"the {teacher.upper()}"


def log_failures(bar: ProgressBar, dataset: TeacherRun) -> None:
    """Say on how many drives of a set the teacher failed, and why first."""
    if dataset.failures:
        count = len(dataset.drives.t)
        bar.note(
            f"the teacher failed on {dataset.failures} of {count} drives: {dataset.first_failure}"
        )


def check_improved(trained: TrainedStudent, run: RunDirectory) -> None:
    """Refuse a student that is no better than before its first update: UserError, DIVERGED.

    One that began as another run's best may stay that.
    """
    progress = trained.progress
    if progress.score < progress.untrained_score or run.config().logs.init:
        return
    cure = "lower --distil-learning-rate and --rollout-learning-rate"
    raise loop.did_not_learn(run, progress, "validation drives", cure)
