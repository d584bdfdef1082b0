"""Run a sweep: train its runs one after another and keep its report up to date."""

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
    """Train all runs that are not finished; return the sweep's report.json.

    A run that ends with a UserError is recorded as failed, and the next one starts. `stop(step)`
    ends the sweep: UserError with code INTERRUPTED, after everything is saved.
    """
    todo = [run for run in sweep.runs if not run.is_finished]
    began, before = time.monotonic(), len(sweep.runs) - len(todo)

    def log(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    if before:
        log(f"{before} of {len(sweep.runs)} runs are finished already")
    for count, run in enumerate(todo, 1):
        log(f"run {before + count} of {len(sweep.runs)}: {run.name}")
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
        log(format_result(run) + (f"; about {format_duration(left_s)} left" if left_s else ""))
    found = write_sweep_report(sweep)
    if not any(run["state"] == "done" for run in found["runs"]):
        raise UserError(
            f"none of the {len(sweep.runs)} runs of {sweep.path} learned anything",
            why=str(found["runs"][0]["why"]),
            cure=f"fix one of them first: {(sweep.runs[0].folder.path / 'command.txt')}",
            code=DIVERGED,
        )
    return found


def run_one(run: Run, *, stop: Callable[[int], bool], quiet: bool) -> None:
    """Train and evaluate one run, resuming if it was begun; record a UserError as its failure."""
    config = run.config()
    log = plain_progress(run.name, "updates", quiet=quiet)
    total = count_updates(config)

    def step(done: int) -> bool:
        log(done, total)
        return stop(done)

    try:
        # The sweep reports progress itself, in a line now and then.
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
        # Other settings compile other programs; old ones would only fill the memory.
        jax.clear_caches()


def count_updates(config: Config) -> int:
    """Count the updates of a run."""
    if isinstance(config, TaskConfig):
        return config.budget.updates
    return config.train.distil_steps + config.train.rollout_steps


def format_result(run: Run) -> str:
    """Return a run's result as one line."""
    result = read_result(run)
    if result.state == "failed":
        return f"{run.name}: failed, {result.why}"
    metrics = ", ".join(f"{name} {number(value)}" for name, value in result.metrics.items())
    return f"{run.name}: {metrics}"


def format_duration(seconds: float) -> str:
    """Return a rounded duration."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def interrupted_error(sweep: Sweep) -> UserError:
    """Return the error of a stopped sweep, with the command that resumes it."""
    finished = sum(run.is_finished for run in sweep.runs)
    return UserError(
        f"stopped with {finished} of {len(sweep.runs)} runs done",
        why="interrupted; everything so far is saved",
        cure=f"kalmanrnn sweep --resume {sweep.path}",
        code=INTERRUPTED,
    )
