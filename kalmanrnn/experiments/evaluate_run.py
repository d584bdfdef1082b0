"""Evaluate estimators on the same drives: estimates given in Python, or a run and its baselines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from kalmanrnn.core.config import RunConfig, is_external
from kalmanrnn.core.environment import versions
from kalmanrnn.core.errors import UserError
from kalmanrnn.data.datasets import TEST, label_drives
from kalmanrnn.data.teacher_runs import make_drives
from kalmanrnn.evaluation.comparison import compare
from kalmanrnn.evaluation.estimates import Estimates, run_baselines
from kalmanrnn.report.write import write_report
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.training.run_directory import RunDirectory
from kalmanrnn.training.trained import TrainedStudent, load_trained, scenario_of

if TYPE_CHECKING:
    from kalmanrnn.core.datatypes import Drive

EXTERNAL = "own_filter"


def evaluate_and_report(
    scenario: Scenario,
    config: RunConfig,
    trained: TrainedStudent,
    drives: Drive,
    out: Path,
    info: dict[str, Any],
    *,
    folder: Path | None = None,
    skip_s: float | None = None,
    remark: Callable[[dict[str, Estimates]], list[str]] = lambda found: [],
) -> dict[str, Any]:
    """Run all estimators over the same drives, compare, write the report; return report.json.

    folder: the run's, where the estimates of the user's own filter are cached. remark: sentences
    about the estimates, which come first among the notes.
    """
    began = info.pop("began", time.monotonic())
    teacher, external = config.data.teacher, {}
    if is_external(config.data.teacher):
        teacher = EXTERNAL
        external, drives, notes = run_external(scenario, config, drives, folder)
        info["notes"] = [*info.get("notes", ()), *notes]
    estimates = run_all(scenario, trained, drives, external)
    info["notes"] = [*remark(estimates), *info.get("notes", ())]
    comparison = compare(
        scenario,
        drives,
        estimates,
        teacher=teacher,
        skip_s=config.data.skip_s if skip_s is None else skip_s,
        seed=config.train.seed,
        horizontal=bool(info.get("log")),
    )
    made = {"seed": config.train.seed, "versions": versions(), "config": asdict(config)}
    made["seconds_total"] = time.monotonic() - began
    write_report(out, comparison, info=made | info)
    return json.loads((out / "report.json").read_text())


def run_all(
    scenario: Scenario, trained: TrainedStudent, drives: Drive, external: dict[str, Estimates]
) -> dict[str, Estimates]:
    """Run the baselines and the student over the same drives; `external` stands between them."""
    return run_baselines(scenario, drives) | external | {"student": trained.run(drives)}


def run_external(
    scenario: Scenario, config: RunConfig, drives: Drive, folder: Path | None
) -> tuple[dict[str, Estimates], Drive, list[str]]:
    """Run the user's own filter; return its estimates, the drives it managed, and notes."""
    labels = label_drives(scenario, config, drives, folder, quiet=False)
    kept = jax.tree.map(lambda a: np.asarray(a)[labels.kept], drives)
    cov = None if labels.cov is None else labels.cov[labels.kept]
    notes = []
    if labels.failures:
        notes.append(
            f"{config.data.teacher} failed on {labels.failures} of {len(labels.kept)} drives, "
            f"which are left out for every estimator: {labels.first_message}"
        )
    return {EXTERNAL: Estimates(labels.mean[labels.kept], cov)}, kept, notes


def evaluate_simulated(
    run: RunDirectory,
    out: Path,
    command: str,
    *,
    sim: str | None = None,
    seed: int | None = None,
    **changed: float | None,
) -> dict[str, Any]:
    """Evaluate a run on fresh simulated drives; `changed` settings of `DataConfig` unless None."""
    config = run.config()
    scenario, trained = scenario_and_student(run, config, sim)
    given = {name: value for name, value in changed.items() if value is not None}
    config = replace(config, data=replace(config.data, **given))
    seed = config.train.seed if seed is None else seed
    drives = make_drives(scenario, config.data, seed, TEST, config.data.test)
    info = {"command": command, "history": run.history()}
    return evaluate_and_report(scenario, config, trained, drives, out, info, folder=run.path)


def scenario_and_student(
    run: RunDirectory, config: RunConfig, sim: str | None
) -> tuple[Scenario, TrainedStudent]:
    """Load the scenario to evaluate on and the run's student; UserError where they do not fit."""
    scenario = load_scenario(sim) if sim else None
    own = scenario if scenario and not config.sim else scenario_of(config, run.path)
    scenario = scenario or own
    same = (scenario.space, scenario.inputs, [s.channels for s in scenario.sensors])
    if same != (own.space, own.inputs, [s.channels for s in own.sensors]):
        raise UserError(
            f"the student of {run.path.name} was trained on {own.name}, not {scenario.name}",
            why="the two differ in state, inputs or measurements",
            cure=f"kalmanrnn train --sim {sim}",
        )
    trained = load_trained(run, own, config)
    return scenario, trained._replace(student=trained.student._replace(scenario=scenario))
