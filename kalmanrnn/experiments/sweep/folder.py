"""A sweep's folder: `sweep.json`, and a run directory for each setting of the grid.

All run directories are created at the start, with their settings: resuming needs nothing else, and
`kalmanrnn train --resume` can train any of the runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.errors import UsageError, UserError
from kalmanrnn.core.renamed import CONFIG_SECTIONS, RENAMED
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
NEW_NAMES = {
    old: new for section in CONFIG_SECTIONS for old, new in RENAMED[section].items() if new
}


class Run(NamedTuple):
    """One run of a sweep: its setting in the grid, and its directory."""

    name: str
    setting: Setting
    folder: RunDirectory

    @property
    def failure(self) -> dict[str, Any] | None:
        """The UserError that ended the run, if one did."""
        path = self.folder.path / FAILURE_FILE
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def is_finished(self) -> bool:
        """Whether the run has its report, or has failed."""
        return (self.folder.report / "report.json").exists() or self.failure is not None

    def config(self) -> Config:
        """Read the run's settings."""
        return self.folder.task_config() if self.folder.is_task else self.folder.config()


class Sweep(NamedTuple):
    """A sweep on disk, its runs in order."""

    path: Path
    command: str
    grid: Grid
    runs: list[Run]


def create_sweep(
    path: Path, base: Config, grid: Grid, *, command: Sequence[str], train: Sequence[str]
) -> Sweep:
    """Create the folders of a sweep; UserError if it exists or a setting is invalid.

    train: the `kalmanrnn train` command that all runs share.
    """
    if path.exists():
        raise UsageError(
            f"{path} exists already",
            why="a sweep never overwrites another",
            cure=f"kalmanrnn sweep --resume {path}   (or another --out)",
        )
    runs = [(run_name(s), s, apply_setting(base, s)) for s in grid_settings(grid)]
    path.mkdir(parents=True)
    facts = {"command": " ".join(command), "train": list(train), "grid": grid}
    for name, setting, config in runs:
        _create(path / name, config, train, setting)
    atomic_write(path / SWEEP_FILE, json.dumps(facts, indent=2) + "\n")
    return open_sweep(path)


def open_sweep(path: Path) -> Sweep:
    """Open a sweep's folder; missing run directories are created again."""
    try:
        facts = json.loads((path / SWEEP_FILE).read_text())
        grid: Grid = {str(k): tuple(values) for k, values in facts["grid"].items()}
        command, train = str(facts["command"]), list(facts["train"])
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"there is no sweep in {path}",
            why=f"it has no {SWEEP_FILE}",
            cure=f"kalmanrnn sweep --sim rover --grid hidden=8,16,32 seed=0,1 --out {path}",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UserError(
            f"{path / SWEEP_FILE} is damaged",
            why=f"{type(problem).__name__}: {problem}",
            cure="restore it from a copy, or sweep again into another folder",
        ) from None
    # Folders keep their names; a grid from before version 0.2 has old names of settings.
    runs = [
        Run(
            run_name(s),
            {NEW_NAMES.get(key, key): value for key, value in s.items()},
            RunDirectory(path / run_name(s)),
        )
        for s in grid_settings(grid)
    ]
    grid = {NEW_NAMES.get(key, key): values for key, values in grid.items()}
    there = [run for run in runs if run.folder.path.is_dir()]
    if not there:
        raise UserError(
            f"no run is left in {path}",
            why="the settings are in the runs' folders",
            cure="restore one from a copy, or sweep again into another folder",
        )
    for run in runs:
        if run not in there:
            _create(
                run.folder.path, apply_setting(there[0].config(), run.setting), train, run.setting
            )
    return Sweep(path, command, grid, runs)


def _create(path: Path, config: Config, train: Sequence[str], setting: Setting) -> None:
    create_run(path, config, [*train, *setting_flags(setting), "--out", str(path)])
    # "latest" is meaningless in a sweep.
    (path.parent / "latest").unlink(missing_ok=True)
