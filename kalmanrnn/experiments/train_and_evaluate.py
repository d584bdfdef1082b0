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
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.progress import Meter
from kalmanrnn.data.prefetch import HELD_OUT, label_drives
from kalmanrnn.data.teacher_runs import make_drives
from kalmanrnn.evaluation.compare import Track, baseline_tracks, compare
from kalmanrnn.evaluation.estimates import student_track
from kalmanrnn.report.write import write_report
from kalmanrnn.scenarios.scenario import Scenario, load
from kalmanrnn.training.fit import Trained, check_learnt, fit
from kalmanrnn.training.load import load_trained
from kalmanrnn.training.run_directory import RunFolder, versions

if TYPE_CHECKING:
    from kalmanrnn.core.datatypes import Drive

OWN = "own_filter"


def train_and_report(
    config: RunConfig, folder: RunFolder, *, stop: Callable[[int], bool], quiet: bool
) -> dict[str, Any]:
    """Train in a folder, judge on held-out drives, write the report; return report.json."""
    began = time.monotonic()
    scenario = load(config.sim, config.set)
    trained = fit(scenario, config, folder, stop=stop, quiet=quiet)
    folder.finish()
    check_learnt(trained, folder)
    with Meter(0, quiet=quiet) as meter:
        meter.note(f"judging on {config.data.test} held-out drives")
    drives = make_drives(scenario, config.data, config.train.seed, HELD_OUT, config.data.test)
    info = {
        "command": (folder.path / "command.txt").read_text().strip(),
        "history": folder.history(),
        "reanchored": trained.tally.anchored,
        "teacher_check": trained.tally.difference,
        "began": began,
    }
    return report_on(scenario, config, trained, drives, folder.report, info, folder=folder.path)


def report_on(
    scenario: Scenario,
    config: RunConfig,
    trained: Trained,
    drives: Drive,
    out: Path,
    info: dict[str, Any],
    *,
    folder: Path | None = None,
    skip_s: float | None = None,
    remark: Callable[[dict[str, Track]], list[str]] = lambda tracks: [],
) -> dict[str, Any]:
    """Run all estimators over the same drives, compare, write the report.

    folder: the run's, where the estimates of a filter of the user's own are kept. remark: says
    in sentences what else is to be seen in the tracks; they come first among the notes.
    """
    began = info.pop("began", time.monotonic())
    teacher, own = config.data.teacher, {}
    if is_external(config.data.teacher):
        teacher = OWN
        own, drives, lost = own_track(scenario, config, drives, folder)
        info["notes"] = [*info.get("notes", ()), *lost]
    tracks = all_tracks(scenario, trained, drives, own)
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


def all_tracks(
    scenario: Scenario, trained: Trained, drives: Drive, own: dict[str, Track]
) -> dict[str, Track]:
    """Run the baselines and the student over the same drives; `own` stands between them."""
    tracks = baseline_tracks(scenario, drives) | own
    tracks["student"] = student_track(trained.student, trained.params, trained.norm, drives)
    return tracks


def own_track(
    scenario: Scenario, config: RunConfig, drives: Drive, folder: Path | None
) -> tuple[dict[str, Track], Drive, list[str]]:
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
    return {OWN: Track(labels.mean[labels.kept], cov)}, kept, said


def config_of(config: RunConfig) -> dict[str, Any]:
    """Return the settings as plain data."""
    from dataclasses import asdict

    return asdict(config)


def evaluate_simulated(
    folder: RunFolder,
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
    drives = make_drives(scenario, data, seed, HELD_OUT, data.test)
    config = replace(config, data=data)
    info = {"command": command, "history": folder.history()}
    return report_on(scenario, config, trained, drives, out, info, folder=folder.path)


def scenario_and_student(
    folder: RunFolder, config: RunConfig, sim: str | None
) -> tuple[Scenario, Trained]:
    """Load the scenario to judge on and the run's student; UserError where they do not fit."""
    own = load(config.sim, config.set)
    scenario = load(sim) if sim else own
    same = (scenario.space, scenario.inputs, [s.channels for s in scenario.sensors])
    if same != (own.space, own.inputs, [s.channels for s in own.sensors]):
        raise UserError(
            f"the student of {folder.path.name} was trained on {own.name}, not {scenario.name}",
            why="the two differ in state, inputs or measurements",
            cure=f"kalmanrnn train --sim {sim}",
        )
    trained = load_trained(folder, own, config)
    return scenario, trained._replace(student=trained.student._replace(scenario=scenario))
