"""Whole jobs: train and report; judge a run again on fresh drives or on a log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any


from kalmanrnn import checkpoint
from kalmanrnn.config import RunConfig
from kalmanrnn.errors import UserError
from kalmanrnn.evaluate import Track, baseline_tracks, compare
from kalmanrnn.progress import Meter
from kalmanrnn.report import write_report
from kalmanrnn.runfolder import RunFolder, versions
from kalmanrnn.scenario import Scenario, load
from kalmanrnn.student import blank_normaliser, make_student
from kalmanrnn.supply import HELD_OUT
from kalmanrnn.teach import make_drives
from kalmanrnn.tracks import student_track
from kalmanrnn.train import Tally, Trained, check_learnt, fit

if TYPE_CHECKING:
    from kalmanrnn.commands.evaluate import EvalFlags
    from kalmanrnn.types import Drive


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
        meter.note(f"judging on {config.data.held_out} held-out drives")
    drives = make_drives(scenario, config.data, config.train.seed, HELD_OUT, config.data.held_out)
    info = {
        "command": (folder.path / "command.txt").read_text().strip(),
        "history": folder.history(),
        "reanchored": trained.tally.anchored,
        "teacher_check": trained.tally.difference,
        "began": began,
    }
    return report_on(scenario, config, trained, drives, folder.report, info)


def report_on(
    scenario: Scenario,
    config: RunConfig,
    trained: Trained,
    drives: Drive,
    out: Path,
    info: dict[str, Any],
    *,
    skip_s: float | None = None,
) -> dict[str, Any]:
    """Run all estimators over the same drives, compare, write the report."""
    began = info.pop("began", time.monotonic())
    tracks = all_tracks(scenario, trained, drives)
    comparison = compare(
        scenario,
        drives,
        tracks,
        teacher=config.data.teacher,
        skip_s=config.data.skip_s if skip_s is None else skip_s,
        seed=config.train.seed,
        horizontal=bool(info.get("log")),
    )
    settled = {"seed": config.train.seed, "versions": versions(), "config": config_of(config)}
    settled["seconds_total"] = time.monotonic() - began
    write_report(out, comparison, info=settled | info)
    return json.loads((out / "report.json").read_text())


def all_tracks(scenario: Scenario, trained: Trained, drives: Drive) -> dict[str, Track]:
    """Run the baselines and the student over the same drives."""
    tracks = baseline_tracks(scenario, drives)
    tracks["student"] = student_track(trained.student, trained.params, trained.norm, drives)
    return tracks


def config_of(config: RunConfig) -> dict[str, Any]:
    """Return the settings as plain data."""
    from dataclasses import asdict

    return asdict(config)


def load_trained(folder: RunFolder, scenario: Scenario, config: RunConfig) -> Trained:
    """Load a run's best student; UserError if it is damaged or of another scenario."""
    student, params = make_student(scenario, config.student, seed=config.train.seed)
    like = (params, blank_normaliser(student))
    (params, norm), meta = checkpoint.load(folder.best, like)
    return Trained(student, params, norm, Tally(**meta))


def evaluate_simulated(
    folder: RunFolder, flags: EvalFlags, out: Path, command: str
) -> dict[str, Any]:
    """Judge a run on fresh simulated drives."""
    from dataclasses import replace

    config = folder.config()
    scenario, trained = scenario_and_student(folder, config, flags.sim)
    data = config.data
    data = replace(
        data,
        seconds=flags.seconds or data.seconds,
        held_out=flags.drives or data.held_out,
        skip_s=data.skip_s if flags.skip_s is None else flags.skip_s,
    )
    seed = config.train.seed if flags.seed is None else flags.seed
    drives = make_drives(scenario, data, seed, HELD_OUT, data.held_out)
    config = replace(config, data=data)
    info = {"command": command, "history": folder.history()}
    return report_on(scenario, config, trained, drives, out, info)


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
