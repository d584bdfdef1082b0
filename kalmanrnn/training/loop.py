"""The visible loop of all training: update, tell, judge, save; stop and go on bit for bit.

What is learnt (a filter's student, a sequence task) comes as a `Study`; nothing here knows which.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.errors import DIVERGED, INTERRUPTED, UserError
from kalmanrnn.core.progress import Meter
from kalmanrnn.training import checkpoint, update
from kalmanrnn.training.run_directory import RunFolder

LOG_LINES = 200


class Tally(NamedTuple):
    """How far a run is; plain numbers, kept in its checkpoints.

    score: the best so far. untrained: before the first update. waited: checks since the best.
    difference: a teacher's largest from filterpy. seconds: spent learning. held_out: the last
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


class Look(NamedTuple):
    """What a check found: a score (the lower the better), and how to say it.

    short: behind the loss on a progress line. said: a sentence. record: for the run's metrics.
    """

    score: float
    short: str
    said: str
    record: dict[str, Any]


class Leg(NamedTuple):
    """What a progress line says of an update: the part it belongs to, and how much it took in.

    may_stop: whether a student that gets no better ends the run in this part.
    """

    name: str
    amount: int
    unit: str
    may_stop: bool


class Study(NamedTuple):
    """One kind of training, as the loop needs it.

    total: updates. leg: of a step. checks: times it is judged, `ends` besides.
    advance: (state, tally, step) -> the same after one update, and its loss.
    look: judge a state. norm: scales that are saved beside the parameters.
    patience: checks without a better student after which a part that may stops early.
    """

    total: int
    leg: Callable[[int], Leg]
    checks: int
    ends: frozenset[int]
    advance: Callable[[update.State, Tally, int], tuple[update.State, Tally, jax.Array]]
    look: Callable[[update.State], Look]
    norm: Any
    patience: int


def run(
    study: Study,
    state: update.State,
    tally: Tally,
    folder: RunFolder,
    meter: Meter,
    stop: Callable[[int], bool],
) -> tuple[update.State, Tally]:
    """Go through a study's updates from where the tally is.

    `stop(steps done)` true ends the run there: UserError with exit code INTERRUPTED, after
    everything has been saved.
    """
    losses: list[jax.Array] = []
    for step in range(tally.step, study.total):
        began = time.monotonic()
        leg = study.leg(step)
        state, tally, loss = study.advance(state, tally, step)
        losses.append(loss)
        tally = tally._replace(step=step + 1, seconds=tally.seconds + time.monotonic() - began)
        check = is_check(study, tally.step)
        stopped = stop(tally.step)
        if check or tally.step % max(1, study.total // LOG_LINES) == 0:
            tally = tell(folder, meter, leg, state, losses, tally)
            losses = []
        if check:
            tally = note_check(folder, meter, state, study.norm, study.look(state), tally)
        if check or stopped:
            checkpoint.save(folder.last, (state, study.norm), tally._asdict())
        if stopped:
            raise interrupted(folder, tally)
        if leg.may_stop and tally.waited >= study.patience:
            meter.note(f"stopped early: {tally.waited} checks without a better student")
            break
    return state, tally


def is_check(study: Study, done: int) -> bool:
    """Whether the student is judged after that many steps: evenly, and at each part's end."""
    return done in study.ends or done % max(1, study.total // max(study.checks, 1)) == 0


def tell(
    folder: RunFolder,
    meter: Meter,
    leg: Leg,
    state: update.State,
    losses: list[jax.Array],
    tally: Tally,
) -> Tally:
    """Log a line and move the bar."""
    began = time.monotonic()
    loss = float(np.mean(jax.device_get(losses)))
    # Updates are only asked for in the loop; here they are waited for.
    tally = tally._replace(seconds=tally.seconds + time.monotonic() - began)
    tally = tally._replace(skipped=int(state.skipped), anchored=int(state.anchored))
    taken = max(tally.seconds - tally.told_s, 1e-9)
    rate = leg.amount * len(losses) / taken
    tally = tally._replace(told_s=tally.seconds)
    record = {"step": tally.step, "part": leg.name, "loss": loss, "seconds": tally.seconds}
    folder.log(record | {"skipped": tally.skipped, "anchored": tally.anchored})
    meter.step(
        tally.step,
        leg.name,
        f"loss {loss:.4g}  held-out {tally.held_out}  {rate:,.0f} {leg.unit}/s",
    )
    return tally


def note_check(
    folder: RunFolder, meter: Meter, state: update.State, norm: Any, seen: Look, tally: Tally
) -> Tally:
    """Keep the best student, and say how this one does."""
    better = seen.score < tally.score
    tally = tally._replace(
        score=min(seen.score, tally.score),
        waited=0 if better else tally.waited + 1,
        held_out=seen.short,
    )
    if better:
        save_best(folder, state.params, norm, tally)
    folder.log({"step": tally.step, "score": seen.score} | seen.record)
    meter.note(f"step {tally.step}: {seen.said}")
    return tally


def save_best(folder: RunFolder, params: Any, norm: Any, tally: Tally) -> None:
    """Write the model that a report and an export use."""
    checkpoint.save(folder.best, (params, norm), tally._asdict())


def did_not_learn(folder: RunFolder, tally: Tally, what: str, cure: str) -> UserError:
    """Say that a network is no better than before its first update: exit code DIVERGED."""
    return UserError(
        "the network did not learn",
        why=f"after {tally.step} updates ({tally.skipped} left out as not finite) it is no better "
        f"on the {what} than before the first",
        cure=f"{cure}; the losses are in {folder.path}/metrics.csv",
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
