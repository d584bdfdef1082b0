"""One training or validation set: simulated drives, segments of logs, their teacher's run."""

from __future__ import annotations

from pathlib import Path

from kalmanrnn.core.config import RunConfig, is_external
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.progress import plain_progress
from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.data.augmentation import random_outages
from kalmanrnn.data.local_frame import split_into_ticks
from kalmanrnn.data.log_dataset import load_log_dataset
from kalmanrnn.data.log_segments import concatenate, consecutive_segments, sample_segments
from kalmanrnn.data.teacher_runs import (
    AGREEMENT,
    TeacherRun,
    localise_run,
    make_drives,
    run_teacher,
)
from kalmanrnn.filters.external.labels import Labels, label, replace_lost
from kalmanrnn.filters.external.run import as_filter_run
from kalmanrnn.scenarios.scenario import Scenario, load_scenario

VALIDATION, TEST = -1, -2
LOGS = "logs"


def build_dataset(
    scenario: Scenario,
    config: RunConfig,
    index: int,
    folder: Path | None = None,
    *,
    quiet: bool = True,
) -> TeacherRun:
    """Make a training set, or with `VALIDATION` the drives that choose the best checkpoint.

    folder: the run's; needed where it learns from logs, whose copies lie there. Sets then hold
    segments of them beside simulated drives; validation uses log segments alone.
    """
    data, seed = config.data, config.train.seed
    if config.logs.log:
        assert folder is not None
        scenario = load_log_dataset(config, folder / LOGS).scenario
        drives = _with_logs(config, index, folder / LOGS)
    else:
        count = data.validation if index == VALIDATION else data.drives
        drives = make_drives(scenario, data, seed, index, count)
    if index >= 0:
        drives = random_outages(drives, data, seed, index)
    if is_external(data.teacher):
        return _run_external(scenario, config, drives, folder, quiet=quiet)
    made = run_teacher(scenario, data, drives, every=config.student.every, seed=seed)
    if not made.difference <= AGREEMENT:
        raise UserError(
            f"the {data.teacher.upper()} differs from filterpy's by {made.difference:.2g}",
            why=f"the largest relative difference allowed is {AGREEMENT:g}; imitating a wrong "
            "filter teaches nothing",
            cure="check that process and measure give finite values all along a drive",
        )
    return made


def _run_external(
    scenario: Scenario, config: RunConfig, drives: Drive, folder: Path | None, *, quiet: bool
) -> TeacherRun:
    """Run the user's own filter over drives; those it fails on are replaced by others."""
    if config.student.every == "tick":
        drives = split_into_ticks(drives)
    labels = label_drives(scenario, config, drives, folder, quiet=quiet)
    kept, drives = replace_lost(labels, drives)
    made = localise_run(scenario, drives, as_filter_run(scenario, kept, drives), 0.0)
    return made._replace(failures=labels.failures, first_failure=labels.first_message)


def label_drives(
    scenario: Scenario, config: RunConfig, drives: Drive, folder: Path | None, *, quiet: bool
) -> Labels:
    """Run the user's own filter over drives, as the settings say; kept in the run's folder."""
    # Workers load the sim by its settings; a log's own noise is not in those.
    loaded = load_scenario(config.sim, config.set) if config.sim else None
    same = loaded is not None and scenario.sigma.tolist() == loaded.sigma.tolist()
    sim = config.sim if same else ""
    return label(
        scenario,
        config.data.teacher,
        drives,
        sim=sim,
        settings=config.set,
        workers=config.data.teacher_workers or None,
        cache=None if folder is None else folder / "teacher",
        progress=plain_progress("teacher", "drives", quiet=quiet),
    )


def _with_logs(config: RunConfig, index: int, logs: Path) -> Drive:
    """Sample segments of the logs, and simulate the rest; validation ones never change."""
    found = load_log_dataset(config, logs)
    scenario = found.scenario
    events = round(config.data.seconds * scenario.event_hz)
    # VALIDATION and TEST are negative; an index of a stream is not.
    rng = random_stream(config.train.seed, Stream.LOG_SEGMENTS, index - TEST)
    if index == VALIDATION:
        events = min(events, max(len(part.drive.t) for part in found.split.validation))
        return consecutive_segments(
            scenario, found.split.validation, events, config.data.validation, rng
        )
    simulated = min(round(config.logs.mix * config.data.drives), config.data.drives - 1)
    drives = sample_segments(
        scenario, found.split.train, events, config.data.drives - simulated, rng
    )
    if not simulated:
        return drives
    made = make_drives(scenario, config.data, config.train.seed, index, simulated)
    return concatenate(made, drives)
