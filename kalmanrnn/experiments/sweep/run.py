"""Make the runs of a sweep one after the other, and keep its report up to date."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.config import TaskConfig
from kalmanrnn.core.errors import DIVERGED, INTERRUPTED, UserError
from kalmanrnn.core.progress import plain_progress
from kalmanrnn.experiments.run_training import train_and_report
from kalmanrnn.experiments.sweep.folder import FAILURE_FILE, Run, Sweep
from kalmanrnn.experiments.sweep.grid import Config
from kalmanrnn.experiments.sweep.report import write_sweep_report
from kalmanrnn.experiments.sweep.results import read_result
from kalmanrnn.report.text import number
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.tasks.run import train_task


def run_sweep(sweep: Sweep, *, stop: Callable[[int], bool], quiet: bool) -> dict[str, Any]:
    """Make all runs that are not over yet; return the sweep's report.json.

    A run that fails in a way a user can mend is recorded, and the next one begins. `stop(step)`
    true ends the sweep: UserError with exit code INTERRUPTED, after everything has been saved.
    """
    todo = [run for run in sweep.runs if not run.is_finished]
    began, before = time.monotonic(), len(sweep.runs) - len(todo)
    say = _quiet if quiet else _say
    if before:
        say(f"{before} of {len(sweep.runs)} runs are over already")
    for count, run in enumerate(todo, 1):
        say(f"run {before + count} of {len(sweep.runs)}: {run.name}")
        try:
            if stop(0):
                raise interrupted_error(sweep)
            run_one(run, stop=stop, quiet=quiet)
        except UserError as problem:
            if problem.code != INTERRUPTED:
                raise
            write_sweep_report(sweep)
            raise interrupted_error(sweep) from None
        write_sweep_report(sweep)
        left_s = (time.monotonic() - began) / count * (len(todo) - count)
        say(format_result(run) + (f"; about {format_duration(left_s)} left" if left_s else ""))
    found = write_sweep_report(sweep)
    if not any(run["state"] == "done" for run in found["runs"]):
        raise UserError(
            f"none of the {len(sweep.runs)} runs of {sweep.path} learnt",
            why=str(found["runs"][0]["why"]),
            cure=f"mend one of them first: {(sweep.runs[0].folder.path / 'command.txt')}",
            code=DIVERGED,
        )
    return found


def run_one(run: Run, *, stop: Callable[[int], bool], quiet: bool) -> None:
    """Train and judge one run, from where it stands; record a failure that a user can mend."""
    config = run.config()
    tell = plain_progress(run.name, "updates", quiet=quiet)
    total = count_updates(config)

    def step(done: int) -> bool:
        tell(done, total)
        return stop(done)

    try:
        # A sweep tells of its runs itself, in a line now and then.
        if isinstance(config, TaskConfig):
            train_task(config, run.folder, stop=step, quiet=True)
        else:
            scenario = load_scenario(config.sim, config.set)
            train_and_report(scenario, config, run.folder, stop=step, quiet=True)
    except UserError as problem:
        if problem.code == INTERRUPTED:
            raise
        facts = {key: getattr(problem, key) for key in ("what", "why", "cure", "code")}
        atomic_write(run.folder.path / FAILURE_FILE, json.dumps(facts, indent=2) + "\n")
    finally:
        # Other settings are other programs; those of past runs would only fill the memory.
        jax.clear_caches()


def count_updates(config: Config) -> int:
    """Count the updates of a run."""
    if isinstance(config, TaskConfig):
        return config.budget.updates
    return config.train.distil_steps + config.train.rollout_steps


def format_result(run: Run) -> str:
    """Say in one line what came of a run."""
    result = read_result(run)
    if result.state == "failed":
        return f"{run.name}: failed, {result.why}"
    figures = ", ".join(f"{name} {number(value)}" for name, value in result.metrics.items())
    return f"{run.name}: {figures}"


def format_duration(seconds: float) -> str:
    """Say a stretch of time roughly."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def interrupted_error(sweep: Sweep) -> UserError:
    """Say how to go on."""
    over = sum(run.is_finished for run in sweep.runs)
    return UserError(
        f"stopped with {over} of {len(sweep.runs)} runs done",
        why="interrupted; everything up to there is saved",
        cure=f"kalmanrnn sweep --resume {sweep.path}",
        code=INTERRUPTED,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _quiet(text: str) -> None:
    """Say nothing."""
