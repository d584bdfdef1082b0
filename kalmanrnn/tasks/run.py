"""Pipelines of a sequence task: train and report; evaluate a run again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax

from kalmanrnn.core.config import TaskConfig
from kalmanrnn.core.environment import versions
from kalmanrnn.core.errors import UsageError
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.tasks.evaluation import evaluate_model
from kalmanrnn.tasks.fit import TrainedTask, fit_task
from kalmanrnn.tasks.model import make_model, unit_scales
from kalmanrnn.tasks.report import write_task_report
from kalmanrnn.tasks.task import SequenceTask, load_task
from kalmanrnn.training import checkpoint
from kalmanrnn.training.loop import Progress, did_not_learn
from kalmanrnn.training.run_directory import RunDirectory


def train_task(
    config: TaskConfig, folder: RunDirectory, *, stop: Callable[[int], bool], quiet: bool
) -> dict[str, Any]:
    """Train in a folder, evaluate on test sequences, write the report; return report.json.

    Raises UserError, after the report, where the network is no better than untrained.
    """
    began = time.monotonic()
    task = load_configured_task(config)
    trained = fit_task(task, config, folder, stop=stop, quiet=quiet)
    folder.write_metrics_csv()
    with ProgressBar(0, quiet=quiet) as meter:
        meter.note("evaluating on test sequences")
    info = {
        "command": (folder.path / "command.txt").read_text().strip(),
        "history": folder.history(),
        "seconds_learning": trained.progress.seconds,
        "began": began,
    }
    found = report_task(config, trained, folder.report, info)
    if not trained.progress.score < trained.progress.untrained_score:
        raise did_not_learn(
            folder,
            trained.progress,
            "validation sequences",
            "lower --learning-rate, or kalmanrnn doctor RUN",
        )
    return found


def load_configured_task(config: TaskConfig) -> SequenceTask:
    """Load a task with a run's network and budget; UserError if they do not fit."""
    task = load_task(config.sim, config.set)
    try:
        return replace(task, network=config.network, budget=config.budget)
    except ValueError as problem:
        raise UsageError(
            f"cannot train {config.sim} with these settings",
            why=str(problem),
            cure=f"leave the flag out, or see kalmanrnn train --sim {config.sim} --help",
        ) from None


def report_task(
    config: TaskConfig, trained: TrainedTask, out: Path, info: dict[str, Any]
) -> dict[str, Any]:
    """Evaluate a trained network and write its report."""
    began = info.pop("began", time.monotonic())
    model = trained.model
    judged = evaluate_model(model, config.budget)
    facts = {
        "seed": config.budget.seed,
        "versions": versions(),
        "config": asdict(config),
        "weights": sum(a.size for a in jax.tree.leaves(model.params)),
        "seconds_total": time.monotonic() - began,
    }
    return write_task_report(out, model.task, judged, info=facts | info)


def load_task_run(folder: RunDirectory, config: TaskConfig) -> TrainedTask:
    """Load a run's best network; UserError if it is damaged or of another task."""
    task = load_configured_task(config)
    model = make_model(task, config.network, seed=config.budget.seed)
    (params, scales), meta = checkpoint.load(folder.best, (model.params, unit_scales(task)))
    return TrainedTask(model._replace(params=params, scales=scales), Progress(**meta))


def evaluate_task(
    folder: RunDirectory, out: Path, command: str, *, seed: int | None, count: int | None
) -> dict[str, Any]:
    """Evaluate a run again, on other test sequences."""
    config = folder.task_config()
    trained = load_task_run(folder, config)
    budget = config.budget
    budget = replace(
        budget,
        seed=budget.seed if seed is None else seed,
        test=budget.test if count is None else count,
    )
    info = {"command": command, "history": folder.history()}
    return report_task(replace(config, budget=budget), trained, out, info)
