"""`kalmanrnn sweep`."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kalmanrnn.cli.common import (
    Device,
    choose_device,
    flag_values,
    parse,
    print_report,
    stop_on_signal,
)
from kalmanrnn.core.config import RunConfig, TaskConfig
from kalmanrnn.core.errors import OK, UsageError

if TYPE_CHECKING:
    from kalmanrnn.experiments.sweep.folder import Sweep

LOG_FLAGS = ("log", "map", "mix", "test-share", "test-gap-s")
NOT_PASSED = ("sim", "set", "out", "resume", "device", "json", "quiet", *LOG_FLAGS)


@dataclass(frozen=True)
class SweepFlags:
    """Train a run for each setting of a grid, and report error against width.

    Flags of `kalmanrnn train` that all runs share come after `--`:
    kalmanrnn sweep --sim rover --grid hidden=8,16,32 seed=0,1 -- --distil-steps 3000
    """

    sim: str = "imu_gps"
    """Name of a bundled sim, or a path to a .py file that exports SCENARIO or TASK."""
    set: tuple[str, ...] = ()
    """Parameters of the sim's make(), as name=value."""
    grid: tuple[str, ...] = ()
    """Flags of `kalmanrnn train` with values, such as hidden=8,16,32 student=gain,delta seed=0,1;
    the first with several numbers is the x axis of the error plot."""
    out: Path | None = None
    """Folder of the sweep; sweeps/<time>-<sim> if not given."""
    resume: Path | None = None
    """Resume a stopped sweep with its own settings."""
    device: Device = "auto"
    """Where JAX runs."""
    json: bool = False
    """Print report.json on stdout instead of the tables."""
    quiet: bool = False
    """No progress on stderr."""


def sweep(args: Sequence[str]) -> int:
    """Train the runs of a grid and report on all of them."""
    cut = list(args).index("--") if "--" in args else len(args)
    own, passed = list(args[:cut]), list(args[cut + 1 :])
    flags = parse(SweepFlags, own, prog="kalmanrnn sweep")
    choose_device(flags.device)
    with compilation_cache():
        made = _resume(flags, own, passed) if flags.resume else _create(flags, args, passed)
        from kalmanrnn.experiments.sweep.run import run_sweep

        run_sweep(made, stop=stop_on_signal(), quiet=flags.quiet)
    print_report(made.path / "report", as_json=flags.json)
    return OK


def _resume(flags: SweepFlags, own: Sequence[str], passed: Sequence[str]) -> Sweep:
    """Open a sweep to resume, with its own settings: none may be given."""
    given = [flag for flag in ("--sim", "--set", "--grid", "--out") if flag_values(own, flag)]
    if given or passed:
        raise UsageError(
            f"--resume cannot be combined with {(given or list(passed))[0]}",
            why="a resumed sweep keeps its settings",
            cure=f"kalmanrnn sweep --resume {flags.resume}",
        )
    from kalmanrnn.experiments.sweep.folder import open_sweep

    assert flags.resume is not None
    return open_sweep(flags.resume)


def _create(flags: SweepFlags, args: Sequence[str], passed: Sequence[str]) -> Sweep:
    """Check everything, then create a new sweep's folder."""
    from kalmanrnn.experiments.sweep.folder import create_sweep
    from kalmanrnn.experiments.sweep.grid import read_grid

    for text in passed:
        name = text.removeprefix("--").partition("=")[0]
        if text.startswith("--") and name in NOT_PASSED:
            raise UsageError(
                f"--{name} cannot come after --",
                why="a sweep trains on simulated drives only"
                if name in LOG_FLAGS
                else "only flags of kalmanrnn train that all runs share come there",
                cure=f"leave --{name} out" if name in LOG_FLAGS else f"put --{name} before the --",
            )
    shared = ["--sim", flags.sim, *(["--set", *flags.set] if flags.set else []), *passed]
    base = settings(shared)
    grid = read_grid(flags.grid, base)
    for key in grid:
        flag = "--" + key.replace("_", "-")
        if flag_values([t.replace("_", "-") for t in passed], flag):
            raise UsageError(
                f"{flag} is given twice",
                why="it is in the grid and again after --",
                cure=f"leave {flag} out after --",
            )
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{Path(flags.sim).stem}"
    return create_sweep(
        flags.out or Path("sweeps") / stamp,
        base,
        grid,
        command=["kalmanrnn", "sweep", *map(shlex.quote, args)],
        train=["kalmanrnn", "train", *map(shlex.quote, shared)],
    )


def settings(args: Sequence[str]) -> RunConfig | TaskConfig:
    """Return the settings that `kalmanrnn train` would have with these flags."""
    from kalmanrnn.cli import train, train_task

    if train.is_task(args):
        task = parse(
            train_task.TaskFlags, args, prog="kalmanrnn train", default=train_task.defaults(args)
        )
        return TaskConfig(task.sim, task.set, task.network, task.budget)
    flags = parse(train.TrainFlags, args, prog="kalmanrnn train", default=train.defaults(args))
    config = RunConfig(flags.sim, flags.set, flags.student, flags.data, flags.train, flags.logs)
    train.read_logs(config)
    from kalmanrnn.scenarios.scenario import load_scenario

    load_scenario(config.sim, config.set)
    return config


@contextmanager
def compilation_cache() -> Iterator[None]:
    """Keep compiled programs on disk: each run starts a process that needs most of them again."""
    with TemporaryDirectory(prefix="kalmanrnn-sweep-", ignore_cleanup_errors=True) as place:
        kept = {
            "JAX_COMPILATION_CACHE_DIR": place,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        }
        added = [name for name in kept if name not in os.environ]
        os.environ.update({name: kept[name] for name in added})
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]
