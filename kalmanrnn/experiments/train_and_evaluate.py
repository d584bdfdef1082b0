"""Whole jobs: train and report; judge a run again on fresh drives or on a log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from kalmanrnn.core.config import RunConfig, is_external
from kalmanrnn.core.environment import versions
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.data.datasets import TEST, label_drives
from kalmanrnn.data.teacher_runs import make_drives
from kalmanrnn.evaluation.comparison import Estimates, compare, run_baselines
from kalmanrnn.evaluation.estimates import run_student
from kalmanrnn.report.write import write_report
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.training.fit import Trained, check_improved, fit
from kalmanrnn.training.load import load_trained
from kalmanrnn.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from kalmanrnn.core.datatypes import Drive

EXTERNAL = "own_filter"


def train_and_report(
    config: RunConfig, folder: RunDirectory, *, stop: Callable[[int], bool], quiet: bool
) -> dict[str, Any]:
    """Train in a folder, judge on held-out drives, write the report; return report.json."""
    began = time.monotonic()
    scenario = load_scenario(config.sim, config.set)
    trained = fit(scenario, config, folder, stop=stop, quiet=quiet)
    folder.write_metrics_csv()
    check_improved(trained, folder)
    with ProgressBar(0, quiet=quiet) as meter:
        meter.note(f"judging on {config.data.test} held-out drives")
    drives = make_drives(scenario, config.data, config.train.seed, TEST, config.data.test)
    info = {
        "command": (folder.path / "command.txt").read_text().strip(),
        "history": folder.history(),
        "reanchored": trained.progress.resets,
        "teacher_check": trained.progress.difference,
        "began": began,
    }
    return evaluate_and_report(
        scenario, config, trained, drives, folder.report, info, folder=folder.path
    )


def evaluate_and_report(
    scenario: Scenario,
    config: RunConfig,
    trained: Trained,
    drives: Drive,
    out: Path,
    info: dict[str, Any],
    *,
    folder: Path | None = None,
    skip_s: float | None = None,
    remark: Callable[[dict[str, Estimates]], list[str]] = lambda tracks: [],
) -> dict[str, Any]:
    """Run all estimators over the same drives, compare, write the report.

    folder: the run's, where the estimates of a filter of the user's own are kept. remark: says
    in sentences what else is to be seen in the tracks; they come first among the notes.
    """
    began = info.pop("began", time.monotonic())
    teacher, own = config.data.teacher, {}
    if is_external(config.data.teacher):
        teacher = EXTERNAL
        own, drives, lost = run_external(scenario, config, drives, folder)
        info["notes"] = [*info.get("notes", ()), *lost]
    tracks = run_all(scenario, trained, drives, own)
    info["notes"] = [*remark(tracks), *info.get("notes", ())]
    comparison = compare(
        scenario,
        drives,
        tracks,
        teacher=teacher,
        skip_s=config.data.skip_s if skip_s is None else skip_s,
        seed=config.train.seed,
        horizontal=bool(info.get("log")),
    )
    settled = {"seed": config.train.seed, "versions": versions(), "config": config_of(config)}
    settled["seconds_total"] = time.monotonic() - began
    write_report(out, comparison, info=settled | info)
    return json.loads((out / "report.json").read_text())


def run_all(
    scenario: Scenario, trained: Trained, drives: Drive, own: dict[str, Estimates]
) -> dict[str, Estimates]:
    """Run the baselines and the student over the same drives; `own` stands between them."""
    tracks = run_baselines(scenario, drives) | own
    tracks["student"] = run_student(trained.student, trained.params, trained.norm, drives)
    return tracks


def run_external(
    scenario: Scenario, config: RunConfig, drives: Drive, folder: Path | None
) -> tuple[dict[str, Estimates], Drive, list[str]]:
    """Run the user's own filter over drives; return its track, and the drives it managed.

    A sentence tells of those it did not.
    """
    labels = label_drives(scenario, config, drives, folder, quiet=False)
    kept = jax.tree.map(lambda a: np.asarray(a)[labels.kept], drives)
    cov = None if labels.cov is None else labels.cov[labels.kept]
    said = []
    if labels.failures:
        said.append(
            f"{config.data.teacher} failed on {labels.failures} of {len(labels.kept)} drives, "
            f"which are left out for everybody: {labels.first_message}"
        )
    return {EXTERNAL: Estimates(labels.mean[labels.kept], cov)}, kept, said


def config_of(config: RunConfig) -> dict[str, Any]:
    """Return the settings as plain data."""
    from dataclasses import asdict

    return asdict(config)


def evaluate_simulated(
    folder: RunDirectory,
    out: Path,
    command: str,
    *,
    sim: str | None = None,
    seed: int | None = None,
    **changed: float | None,
) -> dict[str, Any]:
    """Judge a run on fresh simulated drives; `changed` settings of `DataConfig` unless None."""
    config = folder.config()
    scenario, trained = scenario_and_student(folder, config, sim)
    given = {name: value for name, value in changed.items() if value is not None}
    data = replace(config.data, **given)
    seed = config.train.seed if seed is None else seed
    drives = make_drives(scenario, data, seed, TEST, data.test)
    config = replace(config, data=data)
    info = {"command": command, "history": folder.history()}
    return evaluate_and_report(scenario, config, trained, drives, out, info, folder=folder.path)


def scenario_and_student(
    folder: RunDirectory, config: RunConfig, sim: str | None
) -> tuple[Scenario, Trained]:
    """Load the scenario to judge on and the run's student; UserError where they do not fit."""
    own = load_scenario(config.sim, config.set)
    scenario = load_scenario(sim) if sim else own
    same = (scenario.space, scenario.inputs, [s.channels for s in scenario.sensors])
    if same != (own.space, own.inputs, [s.channels for s in own.sensors]):
        raise UserError(
            f"the student of {folder.path.name} was trained on {own.name}, not {scenario.name}",
            why="the two differ in state, inputs or measurements",
            cure=f"kalmanrnn train --sim {sim}",
        )
    trained = load_trained(folder, own, config)
    return scenario, trained._replace(student=trained.student._replace(scenario=scenario))
