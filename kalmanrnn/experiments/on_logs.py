"""Logs as drives: open any of them, evaluate a run on them, write its estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import RunConfig, is_external
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import UsageError
from kalmanrnn.core.progress import ProgressBar
from kalmanrnn.data.log_dataset import load_log_dataset, save_logs, scenario_for_log
from kalmanrnn.evaluation.estimates import Estimates, run_filter
from kalmanrnn.evaluation.heading_check import heading_errors, heading_note
from kalmanrnn.evaluation.outages import outage_errors
from kalmanrnn.experiments.evaluate_run import (
    evaluate_and_report,
    run_all,
    run_external,
    scenario_and_student,
)
from kalmanrnn.experiments.run_training import run_info
from kalmanrnn.logs.binding.bound_log import BoundLog, bind_log
from kalmanrnn.logs.binding.position_fixes import find_fixes
from kalmanrnn.logs.recording.recording import Recording, load_recording
from kalmanrnn.report.text import LABELS
from kalmanrnn.training.fit import check_improved, fit
from kalmanrnn.training.run_directory import RunDirectory
from kalmanrnn.training.trained import TrainedStudent, load_trained

SKIP_S = 5.0


class LogRun(NamedTuple):
    """A run's student on one log: what it is called, the log, its student on that log's noise."""

    name: str
    log: BoundLog
    trained: TrainedStudent


def read_log(path: str | Path, map_file: str | Path | None = None) -> Recording:
    """Read a drive file, or import a bag, ULog or CSV folder as its map says, or as is guessed.

    map_file: YAML that says what topics and columns mean. Raises UserError where a log cannot
    be read. What was guessed and repaired stands in the recording's `map` and `notes`.

        recording = kr.read_log("husky.bag")
    """
    path = Path(path)
    map_file = Path(map_file) if map_file else None
    if path.suffix == ".npz":
        if map_file is not None:
            raise UsageError(
                f"--map does not go with the drive file {path}",
                why="it was read when the log was imported and is kept inside",
                cure="leave --map out, or import the log again with it",
            )
        return load_recording(path)
    from kalmanrnn.logs.importer import import_log

    with ProgressBar(0, what=f"reading {path.name}") as meter:
        return import_log(path, map_file, progress=meter.count)


def open_log_run(
    folder: RunDirectory, path: Path, map_file: Path | None, sim: str | None
) -> LogRun:
    """Open a log for a run: its drive, and the run's student in the log's own noise."""
    config = folder.config()
    recording = read_log(path, map_file)
    if sim:
        _, trained = scenario_and_student(folder, config, sim)
        scenario = trained.student.scenario
    else:
        scenario = scenario_for_log(config.sim, config.set, recording)
        trained = load_trained(folder, scenario, config)
    log = bind_log(scenario, recording)
    student = trained.student._replace(scenario=log.scenario)
    return LogRun(path.stem, log, trained._replace(student=student))


def evaluate_logs(
    folder: RunDirectory,
    logs: Sequence[Path],
    map_file: Path | None,
    sim: str | None,
    trial: LogTest,
    out: Path,
    command: str,
) -> list[Path]:
    """Evaluate a run on logs; return the folders of the reports, one per log."""
    opened = [open_log_run(folder, path, map_file, sim) for path in logs]
    names = unique_names([one.name for one in opened])
    places = [out] if len(opened) == 1 else [out / name for name in names]
    for one, place in zip(opened, places, strict=True):
        info = {"command": command, "history": folder.history(), "log": one.name}
        evaluate_log(folder.config(), one, place, info, trial)
    return places


def open_logs(config: RunConfig) -> list[tuple[str, Recording]]:
    """Read the logs that a run is to learn from, each under a name of its own."""
    map_file = Path(config.logs.map) if config.logs.map else None
    paths = [Path(p) for p in config.logs.log]
    recordings = [read_log(path, map_file) for path in paths]
    return list(zip(unique_names([path.stem for path in paths]), recordings, strict=True))


def train_on_logs(
    config: RunConfig,
    folder: RunDirectory,
    recordings: list[tuple[str, Recording]],
    *,
    stop: Callable[[int], bool],
    quiet: bool,
) -> list[Path]:
    """Train on logs, evaluate on their test part; return the folders of the reports.

    recordings: none for a resumed run, which has copies of its own.
    """
    if recordings:
        save_logs(folder.logs, recordings)
    found = load_log_dataset(config, folder.logs)
    trained = fit(found.scenario, config, folder, stop=stop, quiet=quiet)
    folder.write_metrics_csv()
    check_improved(trained, folder)
    places = [folder.report]
    tested = found.split.test
    if len(tested) > 1:
        places = [folder.report / part.name for part in tested]
    for part, place in zip(tested, places, strict=True):
        whole = found.logs[part.name]
        drive = jax.tree.map(lambda a: np.asarray(a)[None], part.drive)
        seconds = whole.drive.seconds
        note = f"test part: the last {drive.seconds:.0f} s of {seconds:.0f} s of {part.name}"
        log = whole._replace(drive=drive, notes=(*whole.notes, note))
        info = run_info(folder, trained) | {"log": part.name}
        evaluate_log(config, LogRun(part.name, log, trained), place, info, LogTest())
    return places


class LogTest(NamedTuple):
    """How a log is evaluated: when outages start [s], how long they are [s], the burn-in [s]."""

    outage_at: tuple[float, ...] = ()
    outage_s: tuple[float, ...] = (5.0, 10.0, 30.0)
    skip_s: float | None = None


def evaluate_log(
    config: RunConfig, one: LogRun, out: Path, info: dict[str, Any], trial: LogTest
) -> None:
    """Run filters and student over a log, with and without outages, and write the report."""
    log = one.log
    student = one.trained.student._replace(scenario=log.scenario)
    trained = one.trained._replace(student=student)
    seconds = log.drive.seconds
    skip_s = min(SKIP_S, 0.25 * seconds) if trial.skip_s is None else trial.skip_s
    if skip_s >= seconds:
        raise UsageError(
            f"--skip-s {skip_s:g} leaves nothing of {one.name}",
            why=f"the drive lasts {seconds:.1f} s",
            cure=f"--skip-s {seconds / 4:.0f}, or leave it out",
        )

    def run(drive: Drive) -> dict[str, Estimates]:
        own = {}
        if is_external(config.data.teacher):
            own, drive, _ = run_external(log.scenario, config, drive, None)
        tracks = run_all(log.scenario, trained, drive, own)
        return {name: track for name, track in tracks.items() if name != "dead_reckoning"}

    def remark(tracks: dict[str, Estimates]) -> list[str]:
        t = log.start - log.recording.start + np.asarray(log.drive.t)[0]
        fixes = find_fixes(log.scenario, log.recording)
        return heading_note(heading_errors(log.scenario, fixes, t, tracks), LABELS)

    info["notes"], info["map"] = list(log.notes), log.recording.map.strip()
    info["reference_note"] = log.recording.reference_note
    info["outages"] = outage_errors(log.scenario, run, log.drive, trial.outage_at, trial.outage_s)
    evaluate_and_report(
        log.scenario, config, trained, log.drive, out, info, skip_s=skip_s, remark=remark
    )


def unique_names(names: Sequence[str]) -> list[str]:
    """Append a number to names that occur twice."""
    found: list[str] = []
    for i, name in enumerate(names):
        found.append(f"{name}-{i + 1}" if name in names[:i] else name)
    return found


def run_estimator(one: LogRun, kind: str) -> Estimates:
    """Run one estimator over a log: "student", or a filter by name."""
    if kind == "student":
        return one.trained.run(one.log.drive)
    return run_filter(one.log.scenario, one.log.drive, kind)


def write_predictions(one: LogRun, track: Estimates, path: Path) -> int:
    """Write estimates as the file's ending says; return how many."""
    from kalmanrnn.logs.writers.estimates import write_estimates

    log = one.log
    t = log.start + np.asarray(log.drive.t)[0]
    cov = None if track.cov is None else track.cov[0]
    write_estimates(path, t, track.mean[0], log.scenario, cov=cov)
    return len(t)
