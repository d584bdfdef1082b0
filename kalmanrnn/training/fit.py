"""Training a filter's student: what the loop needs to know of it.

First along the teacher's own run (distillation), then in free run; both go through windows of
training sets that a second process makes ahead of time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from kalmanrnn.core.config import RunConfig, is_external
from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.core.progress import Meter
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.prefetch import WATCHED, supply
from kalmanrnn.data.teacher_runs import TeacherRun
from kalmanrnn.models.student import Normaliser, Student, blank_normaliser, make_student
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training import checkpoint, loop
from kalmanrnn.training import update as learn
from kalmanrnn.training.loop import Leg, Look, Study, Tally
from kalmanrnn.training.run_directory import RunFolder, open_run
from kalmanrnn.training.schedule import Part, order, parts, place
from kalmanrnn.training.validation import Judgement, judge


class Trained(NamedTuple):
    """What training gives: the best student and the run's tally."""

    student: Student
    params: Any
    norm: Normaliser
    tally: Tally


def fit(
    scenario: Scenario,
    config: RunConfig,
    folder: RunFolder,
    *,
    stop: Callable[[int], bool] = lambda step: False,
    quiet: bool = False,
) -> Trained:
    """Train a student, going on from the folder's last checkpoint if there is one.

    `stop(steps done)` true ends the run there as an interruption does: UserError with exit code
    INTERRUPTED, after everything has been saved.
    """
    check_target(config)
    student, params = make_student(scenario, config.student, seed=config.train.seed)
    laid = parts(config.train, config.data, steps_in_drive(scenario, config))
    total = laid[-1].first_step + laid[-1].steps
    last_set = max((p.first_set + p.sets - 1 for p in laid), default=0)
    with (
        supply(config, last_set, folder.path, quiet=quiet) as fetch,
        Meter(total, quiet=quiet) as meter,
    ):
        meter.note(f"making drives and running {name_of(config.data.teacher)} over them")
        watched = fetch(WATCHED)
        note_lost(meter, watched)
        state, norm, tally = start(student, config, folder, laid, params, fetch)
        skip = min(skip_events(scenario, config), watched.run.mean.shape[1] // 2)
        look = judge(student, watched, skip)
        if tally.step == 0:
            seen = look(params, norm)
            tally = tally._replace(untrained=seen.score, difference=watched.difference)
            loop.save_best(folder, params, norm, tally)
        study = Study(
            total=total,
            leg=partial(leg, student, laid),
            checks=config.train.num_validations,
            ends=frozenset(part.first_step + part.steps for part in laid),
            advance=advancer(student, config, laid, norm, fetch, meter),
            look=lambda state: told(look(state.params, norm)),
            norm=norm,
            patience=config.train.patience,
        )
        _, tally = loop.run(study, state, tally, folder, meter, stop)
    (params, norm), _ = checkpoint.load(folder.best, (params, norm))
    return Trained(student, params, norm, tally)


def advancer(
    student: Student,
    config: RunConfig,
    laid: list[Part],
    norm: Normaliser,
    fetch: Callable[[int], TeacherRun],
    meter: Meter,
) -> Callable[[learn.State, Tally, int], tuple[learn.State, Tally, jax.Array]]:
    """Return the loop's update: enter a part, lay out a set where a new one begins, learn."""
    own = is_external(config.data.teacher)
    part: Part | None = None
    laid_out = (-1, -1)
    update: Callable = learn.update
    data: Any = None

    def advance(state: learn.State, tally: Tally, step: int):
        nonlocal part, laid_out, update, data
        where = place(laid, step)
        if where.part is not part:
            part = where.part
            update = learn.update(student, norm, config.train, part, moves=own)
            state, tally = enter(student, config, part, step, state, tally)
        if (where.set_index, learn.layout_of(where)) != laid_out:
            taught = fetch(where.set_index)
            note_lost(meter, taught)
            data = learn.prepare(student, norm, config.train, where, taught)
            tally = tally._replace(difference=max(tally.difference, taught.difference))
            laid_out = (where.set_index, learn.layout_of(where))
        drives = order(config.train.seed, where, config.data.drives)
        first = where.window * where.part.window
        state, loss = update(state, data, drives, first, where.window == 0)
        return state, tally, loss

    return advance


def leg(student: Student, laid: list[Part], step: int) -> Leg:
    """Say which part a step belongs to, and how many ticks it goes over."""
    part = place(laid, step).part
    ticks = 1 if student.config.every == "tick" else student.scenario.ticks_per_event
    return Leg(part.name, ticks * part.batch * part.window, "ticks", part.name == "free")


def told(seen: Judgement) -> Look:
    """Put a judgement into words."""
    ratios = ", ".join(f"{name} {value:.2f}" for name, value in seen.ratios.items())
    error = f"{seen.error:.3g} {seen.unit}"
    if seen.blind:
        said = f"{seen.name} {error} off the teacher; in its standard deviations: {ratios}"
    else:
        said = f"{seen.name} error {error}; student / teacher: {ratios}"
    return Look(seen.score, error, said, {"held_out_m": seen.error, "ratios": seen.ratios})


def enter(
    student: Student, config: RunConfig, part: Part, step: int, state: learn.State, tally: Tally
) -> tuple[learn.State, Tally]:
    """Begin a part with a fresh optimiser and memory, and patience of its own; or go on in it."""
    if step != part.first_step or not step:
        return state, tally
    state = learn.begin(student, config.train, part, state.params, state)
    return state, tally._replace(waited=0)


def check_target(config: RunConfig) -> None:
    """Refuse to compare with a truth that is not there: at ticks, or of logs."""
    if config.logs.log and config.train.target != "teacher":
        raise UserError(
            f"--target {config.train.target} does not go with --log",
            why="logs have no truth to learn from",
            cure="--target teacher",
            code=USAGE,
        )
    if config.student.every == "tick" and config.train.target != "teacher":
        raise UserError(
            f"--every tick does not go with --target {config.train.target}",
            why="drives keep the truth at events, not at every tick",
            cure="--target teacher, or --every event",
            code=USAGE,
        )


def steps_in_drive(scenario: Scenario, config: RunConfig) -> int:
    """Count the steps a student takes in one drive: its events, or its ticks."""
    events = round(config.data.seconds * scenario.event_hz)
    return events * (scenario.ticks_per_event if config.student.every == "tick" else 1)


def skip_events(scenario: Scenario, config: RunConfig) -> int:
    """Events at a drive's start that no error figure counts."""
    events = round(config.data.seconds * scenario.event_hz)
    return min(round(config.data.skip_s * scenario.event_hz), events // 2)


def start(
    student: Student,
    config: RunConfig,
    folder: RunFolder,
    laid: list[Part],
    params: Any,
    fetch: Callable[[int], TeacherRun],
) -> tuple[learn.State, Normaliser, Tally]:
    """Return where learning begins, or where the folder's last checkpoint left it."""
    if not folder.last.exists():
        first = fetch(0)
        skip = skip_events(student.scenario, config)
        if config.student.every == "tick":
            skip *= student.scenario.ticks_per_event
        if config.logs.init:
            params, norm = initial(student, config, params)
        else:
            norm = fit_normaliser(student, first.drives, first.run, skip)
        return learn.begin(student, config.train, laid[0], params), norm, Tally()
    tally = Tally(**checkpoint.meta_of(folder.last))
    # The memory on disk is that of the step before: the next one may begin another part.
    part = place(laid, tally.step - 1).part
    like = (learn.begin(student, config.train, part, params), blank_normaliser(student))
    (state, norm), _ = checkpoint.load(folder.last, like)
    return state, norm, tally


def initial(student: Student, config: RunConfig, params: Any) -> tuple[Any, Normaliser]:
    """Take parameters and scales from the run named by `--init`; UserError where they differ."""
    from_run = open_run(Path(config.logs.init))
    like = (params, blank_normaliser(student))
    (params, norm), _ = checkpoint.load(from_run.best, like)
    return params, norm


def name_of(teacher: str) -> str:
    """Name a teacher in a sentence."""
    return teacher if is_external(teacher) else f"the {teacher.upper()}"


def note_lost(meter: Meter, taught: TeacherRun) -> None:
    """Say on how many drives of a set the teacher failed, and why first."""
    if taught.lost:
        count = len(taught.drives.t)
        meter.note(f"the teacher failed on {taught.lost} of {count} drives: {taught.why_lost}")


def check_learnt(trained: Trained, folder: RunFolder) -> None:
    """Refuse a student that is no better than before its first update: UserError, DIVERGED.

    One that began as another run's best may stay that.
    """
    tally = trained.tally
    if tally.score < tally.untrained or folder.config().logs.init:
        return
    cure = "lower --distil-rate and --free-rate"
    raise loop.did_not_learn(folder, tally, "watched drives", cure)
