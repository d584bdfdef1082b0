"""Training: a function with a visible loop.

First along the teacher's own run (distillation), then in free run; both go through windows of
training sets that a second thread makes ahead of time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn import checkpoint, learn
from kalmanrnn.config import RunConfig, is_own
from kalmanrnn.errors import DIVERGED, INTERRUPTED, USAGE, UserError
from kalmanrnn.judge import Judgement, judge
from kalmanrnn.normalise import fit_normaliser
from kalmanrnn.plan import Part, order, parts, place
from kalmanrnn.progress import Meter
from kalmanrnn.runfolder import RunFolder, open_run
from kalmanrnn.scenario import Scenario
from kalmanrnn.student import Normaliser, Student, blank_normaliser, make_student
from kalmanrnn.supply import WATCHED, supply
from kalmanrnn.teach import Taught

LOG_LINES = 200


class Tally(NamedTuple):
    """How far a run is; plain numbers, kept in its checkpoints.

    score: the best so far. untrained: before the first update. waited: checks since the best.
    difference: the teacher's largest from filterpy. seconds: spent learning. held_out: the last
    check's error, in words. told_s: what `seconds` was when progress was last told.
    """

    step: int = 0
    score: float = math.inf
    untrained: float = math.inf
    waited: int = 0
    difference: float = 0.0
    seconds: float = 0.0
    skipped: int = 0
    anchored: int = 0
    held_out: str = "not judged yet"
    told_s: float = 0.0


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
    ticks = 1 if config.student.every == "tick" else scenario.ticks_per_event
    last_set = max((p.first_set + p.sets - 1 for p in laid), default=0)
    own = is_own(config.data.teacher)
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
            save_best(folder, params, norm, tally)
        part = None
        laid_out = (-1, -1)
        losses: list[jax.Array] = []
        for step in range(tally.step, total):
            began = time.monotonic()
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
            assert part is not None
            drives = order(config.train.seed, where, config.data.drives)
            first = where.window * part.window
            state, loss = update(state, data, drives, first, where.window == 0)
            losses.append(loss)
            tally = tally._replace(step=step + 1, seconds=tally.seconds + time.monotonic() - began)
            check = is_check(laid, config.train.checks, tally.step)
            stopped = stop(tally.step)
            if check or tally.step % max(1, total // LOG_LINES) == 0:
                tally = tell(folder, meter, where.part, state, losses, tally, ticks)
                losses = []
            if check:
                seen = look(state.params, norm)
                tally = note_check(folder, meter, state, norm, seen, tally)
            if check or stopped:
                save_last(folder, state, norm, tally)
            if stopped:
                raise interrupted(folder, tally)
            if where.part.name == "free" and tally.waited >= config.train.patience:
                meter.note(f"stopped early: {tally.waited} checks without a better student")
                break
    (params, norm), _ = checkpoint.load(folder.best, (params, norm))
    return Trained(student, params, norm, tally)


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
    fetch: Callable[[int], Taught],
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


def is_check(laid: list[Part], checks: int, done: int) -> bool:
    """Whether the student is judged after that many steps: evenly, and at each part's end."""
    total = laid[-1].first_step + laid[-1].steps
    ends = {part.first_step + part.steps for part in laid}
    return done in ends or done % max(1, total // max(checks, 1)) == 0


def tell(
    folder: RunFolder,
    meter: Meter,
    part: Part,
    state: learn.State,
    losses: list[jax.Array],
    tally: Tally,
    ticks: int,
) -> Tally:
    """Log a line and move the bar; `ticks` are those in one step of the student."""
    began = time.monotonic()
    loss = float(np.mean(jax.device_get(losses)))
    # Updates are only asked for in the loop; here they are waited for.
    tally = tally._replace(seconds=tally.seconds + time.monotonic() - began)
    tally = tally._replace(skipped=int(state.skipped), anchored=int(state.anchored))
    taken = max(tally.seconds - tally.told_s, 1e-9)
    rate = ticks * part.batch * part.window * len(losses) / taken
    tally = tally._replace(told_s=tally.seconds)
    record = {"step": tally.step, "part": part.name, "loss": loss, "seconds": tally.seconds}
    folder.log(record | {"skipped": tally.skipped, "anchored": tally.anchored})
    meter.step(
        tally.step, part.name, f"loss {loss:.4f}  held-out {tally.held_out}  {rate:,.0f} ticks/s"
    )
    return tally


def note_check(
    folder: RunFolder,
    meter: Meter,
    state: learn.State,
    norm: Normaliser,
    seen: Judgement,
    tally: Tally,
) -> Tally:
    """Keep the best student, and say how this one does."""
    better = seen.score < tally.score
    tally = tally._replace(
        score=min(seen.score, tally.score),
        waited=0 if better else tally.waited + 1,
        held_out=f"{seen.error:.3g} {seen.unit}",
    )
    if better:
        save_best(folder, state.params, norm, tally)
    folder.log(
        {"step": tally.step, "score": seen.score, "held_out_m": seen.error, "ratios": seen.ratios}
    )
    ratios = ", ".join(f"{name} {value:.2f}" for name, value in seen.ratios.items())
    error = f"{seen.error:.3g} {seen.unit}"
    if seen.blind:
        said = f"{seen.name} {error} off the teacher; in its standard deviations: {ratios}"
    else:
        said = f"{seen.name} error {error}; student / teacher: {ratios}"
    meter.note(f"step {tally.step}: {said}")
    return tally


def name_of(teacher: str) -> str:
    """Name a teacher in a sentence."""
    return teacher if is_own(teacher) else f"the {teacher.upper()}"


def note_lost(meter: Meter, taught: Taught) -> None:
    """Say on how many drives of a set the teacher failed, and why first."""
    if taught.lost:
        count = len(taught.drives.t)
        meter.note(f"the teacher failed on {taught.lost} of {count} drives: {taught.why_lost}")


def save_best(folder: RunFolder, params: Any, norm: Normaliser, tally: Tally) -> None:
    """Write the model that a report and an export use."""
    checkpoint.save(folder.best, (params, norm), tally._asdict())


def save_last(folder: RunFolder, state: learn.State, norm: Normaliser, tally: Tally) -> None:
    """Write all that going on needs."""
    checkpoint.save(folder.last, (state, norm), tally._asdict())


def check_learnt(trained: Trained, folder: RunFolder) -> None:
    """Refuse a student that is no better than before its first update: UserError, DIVERGED.

    One that began as another run's best may stay that.
    """
    tally = trained.tally
    if tally.score < tally.untrained or folder.config().logs.init:
        return
    raise UserError(
        "the network did not learn",
        why=f"after {tally.step} updates ({tally.skipped} left out as not finite) it is no better "
        "on the watched drives than before the first",
        cure=f"lower --distil-rate and --free-rate; the losses are in {folder.path}/metrics.csv",
        code=DIVERGED,
    )


def interrupted(folder: RunFolder, tally: Tally) -> UserError:
    """Say how to go on."""
    return UserError(
        f"stopped after step {tally.step}",
        why="interrupted; everything up to there is saved",
        cure=f"kalmanrnn train --resume {folder.path}",
        code=INTERRUPTED,
    )
