"""Training sets made ahead of time by a second process; which set is which follows the seed.

A process and not a thread: filters run in float64, learning in float32, and jax's switch
between them does not bear two threads that trace at the same time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from kalmanrnn.core.config import RunConfig, is_external
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.progress import plain_progress
from kalmanrnn.data.local_frame import split_into_ticks
from kalmanrnn.data.log_dataset import load_log_dataset
from kalmanrnn.data.log_segments import concatenate, consecutive_segments, sample_segments
from kalmanrnn.data.teacher_runs import (
    AGREEMENT,
    TeacherRun,
    localise_run,
    make_drives,
    random_outages,
    run_teacher,
)
from kalmanrnn.filters.external.labels import Labels, label, replace_lost
from kalmanrnn.filters.external.run import as_filter_run
from kalmanrnn.scenarios.scenario import Scenario, load_scenario

VALIDATION, TEST = -1, -2
LOGS = "logs"


@lru_cache(maxsize=1)
def _loaded(sim: str, settings: tuple[str, ...]) -> Scenario:
    """Load a sim once: what is compiled is kept with it."""
    return load_scenario(sim, settings)


def build_dataset(
    config: RunConfig, index: int, folder: Path | None = None, *, quiet: bool = True
) -> TeacherRun:
    """Make a training set, or with `WATCHED` the drives that choose the best checkpoint.

    folder: the run's; needed where it learns from logs, whose copies lie there. Sets then hold
    stretches of them beside simulated drives; what is watched is held-out log alone.
    """
    data, seed = config.data, config.train.seed
    if config.logs.log:
        assert folder is not None
        scenario = load_log_dataset(config, folder / LOGS).scenario
        drives = _with_logs(config, index, folder / LOGS)
    else:
        scenario = _loaded(config.sim, config.set)
        count = data.validation if index == VALIDATION else data.drives
        drives = make_drives(scenario, data, seed, index, count)
    if index >= 0:
        drives = random_outages(drives, data, [seed, index])
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
    same = scenario.sigma.tolist() == _loaded(config.sim, config.set).sigma.tolist()
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
    """Draw stretches of the logs, and simulate the rest; watched ones are the same each time."""
    found = load_log_dataset(config, logs)
    scenario = found.scenario
    events = round(config.data.seconds * scenario.event_hz)
    rng = np.random.default_rng([config.train.seed, index + 1_000_000])
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


@contextmanager
def prefetch(
    config: RunConfig, last: int, folder: Path, *, quiet: bool = True
) -> Iterator[Callable[[int], TeacherRun]]:
    """Give a function that returns a set by number and starts on the next one."""
    started: dict[int, Future[TeacherRun]] = {}
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_init_worker)

    def fetch(index: int) -> TeacherRun:
        for wanted in (index, index + 1):
            if wanted not in started and wanted <= last:
                started[wanted] = pool.submit(build_dataset, config, wanted, folder, quiet=quiet)
        for old in [i for i in started if 0 <= i < index]:
            del started[old]
        return started[index].result()

    try:
        yield fetch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()


def _init_worker() -> None:
    """Leave Ctrl-C to the parent, and the accelerator too: filters are float64, on CPU."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_platforms", "cpu")
