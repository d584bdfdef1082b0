"""A sweep's folder: `sweep.json`, and a run's folder for each point of the grid.

All runs' folders are made at the start, with their settings in them: a sweep that goes on needs
nothing but what lies there, and any of its runs can be trained by `kalmanrnn train --resume`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.experiments.sweep.grid import (
    Config,
    Grid,
    Setting,
    apply_setting,
    grid_settings,
    run_name,
    setting_flags,
)
from kalmanrnn.training.run_directory import RunDirectory, create_run

SWEEP_FILE, FAILURE_FILE = "sweep.json", "failed.json"


class Run(NamedTuple):
    """One run of a sweep: where it lies in the grid, and on disk."""

    name: str
    setting: Setting
    folder: RunDirectory

    @property
    def failure(self) -> dict[str, Any] | None:
        """What went wrong, where the run ended with a failure that a user can mend."""
        path = self.folder.path / FAILURE_FILE
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do: it has its report, or has failed."""
        return (self.folder.report / "report.json").exists() or self.failure is not None

    def config(self) -> Config:
        """Read the run's settings."""
        return self.folder.task_config() if self.folder.is_task else self.folder.config()


class Sweep(NamedTuple):
    """A sweep on disk; runs in the order in which they are made."""

    path: Path
    command: str
    grid: Grid
    runs: list[Run]


def create_sweep(
    path: Path, base: Config, grid: Grid, *, command: Sequence[str], train: Sequence[str]
) -> Sweep:
    """Make the folders of a sweep; refuse one that exists, and runs that cannot be: UserError.

    train: the `kalmanrnn train` command that all runs share.
    """
    if path.exists():
        raise UserError(
            f"{path} exists already",
            why="a sweep never writes over another",
            cure=f"kalmanrnn sweep --resume {path}   (or another --out)",
            code=USAGE,
        )
    laid = [(run_name(point), point, apply_setting(base, point)) for point in grid_settings(grid)]
    path.mkdir(parents=True)
    facts = {"command": " ".join(command), "train": list(train), "grid": grid}
    for name, point, config in laid:
        _create(path / name, config, train, point)
    atomic_write(path / SWEEP_FILE, json.dumps(facts, indent=2) + "\n")
    return open_sweep(path)


def open_sweep(path: Path) -> Sweep:
    """Take up a sweep's folder; runs whose folders were taken away are laid out anew."""
    try:
        facts = json.loads((path / SWEEP_FILE).read_text())
        grid = {key: tuple(values) for key, values in facts["grid"].items()}
        command, train = str(facts["command"]), list(facts["train"])
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"there is no sweep in {path}",
            why=f"it has no {SWEEP_FILE}",
            cure=f"kalmanrnn sweep --sim rover --grid hidden=8,16,32 seed=0,1 --out {path}",
            code=USAGE,
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UserError(
            f"{path / SWEEP_FILE} is damaged",
            why=f"{type(problem).__name__}: {problem}",
            cure="restore it from a copy, or sweep again into another folder",
        ) from None
    runs = [Run(run_name(p), p, RunDirectory(path / run_name(p))) for p in grid_settings(grid)]
    there = [run for run in runs if run.folder.path.is_dir()]
    if not there:
        raise UserError(
            f"no run is left in {path}",
            why="their settings lay in their folders",
            cure="restore one from a copy, or sweep again into another folder",
        )
    for run in runs:
        if run not in there:
            _create(
                run.folder.path, apply_setting(there[0].config(), run.setting), train, run.setting
            )
    return Sweep(path, command, grid, runs)


def _create(path: Path, config: Config, train: Sequence[str], point: Setting) -> None:
    create_run(path, config, [*train, *setting_flags(point), "--out", str(path)])
    # Which of a sweep's runs is the latest means nothing.
    (path.parent / "latest").unlink(missing_ok=True)
