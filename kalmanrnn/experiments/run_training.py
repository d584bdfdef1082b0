"""Train a student of a scenario: in memory, or in a run's directory with its report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kalmanrnn.core.config import (
    DataConfig,
    RunConfig,
    StudentConfig,
    TrainConfig,
    check_config,
)
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.data.datasets import TEST
from kalmanrnn.data.teacher_runs import make_drives
from kalmanrnn.experiments.evaluate_run import evaluate_and_report
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training.fit import check_improved, fit
from kalmanrnn.training.run_directory import RunDirectory, create_run, fill_run
from kalmanrnn.training.trained import TrainedStudent


def train(
    scenario: Scenario,
    config: TrainConfig | None = None,
    *,
    student: StudentConfig | None = None,
    data: DataConfig | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> TrainedStudent:
    """Train a student on simulated drives of a scenario, and return the best one found.

    config: steps, batches, learning rates, seed. student: what the network is. data: teacher,
    number and length of the drives. out: a new folder that keeps settings, metrics, checkpoints
    and a report on test drives; without one, nothing is kept on disk. quiet: no progress on
    stderr. A second process makes the drives; scripts need no `if __name__` guard.

    Raises UserError where settings cannot work, `out` exists, or the student did not learn.

        student = kr.train(kr.load_scenario("linear"), kr.TrainConfig(distil_steps=200))
    """
    sim, settings = scenario.source or ("", ())
    whole = RunConfig(
        sim=sim,
        set=settings,
        student=student or StudentConfig(),
        data=data or DataConfig(),
        train=config or TrainConfig(),
    )
    check_config(whole)
    if out is not None:
        run = create_run(Path(out), whole, ["kalmanrnn.train(...)"])
        trained, _ = train_and_report(scenario, whole, run, quiet=quiet)
        return trained
    with tempfile.TemporaryDirectory(prefix="kalmanrnn-") as folder:
        run = fill_run(Path(folder) / "run", whole, ["kalmanrnn.train(...)"])
        trained = fit(scenario, whole, run, quiet=quiet)
        check_improved(trained, run)
    return trained


def train_and_report(
    scenario: Scenario,
    config: RunConfig,
    run: RunDirectory,
    *,
    stop: Callable[[int], bool] = lambda step: False,
    quiet: bool = False,
) -> tuple[TrainedStudent, dict[str, Any]]:
    """Train in a run's directory and evaluate on test drives; return what report.json holds too.

    `stop(steps done)` true interrupts the run there: UserError, everything saved.
    """
    began = time.monotonic()
    trained = fit(scenario, config, run, stop=stop, quiet=quiet)
    run.write_metrics_csv()
    check_improved(trained, run)
    with ProgressBar(0, quiet=quiet) as bar:
        bar.note(f"evaluating on {config.data.test} test drives")
    drives = make_drives(scenario, config.data, config.train.seed, TEST, config.data.test)
    info = run_info(run, trained) | {"began": began}
    found = evaluate_and_report(
        scenario, config, trained, drives, run.report, info, folder=run.path
    )
    return trained, found


def run_info(run: RunDirectory, trained: TrainedStudent) -> dict[str, Any]:
    """Return what a report says of a run's training."""
    return {
        "command": run.command,
        "history": run.history(),
        "resets": trained.progress.resets,
        "filterpy_difference": trained.progress.difference,
    }
