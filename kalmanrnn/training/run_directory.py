"""A run's directory: settings, command, versions, metrics, checkpoints, report."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kalmanrnn.core import config_file
from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.config import RunConfig, TaskConfig
from kalmanrnn.core.environment import versions
from kalmanrnn.core.errors import UsageError, UserError
from kalmanrnn.core.renamed import with_new_names

METRICS = ("step", "phase", "loss", "seconds", "score", "validation_error", "skipped", "resets")


class RunDirectory:
    """Where one run writes; made by `create_run` or opened again by `open_run`."""

    def __init__(self, path: Path):
        self.path = path
        self.last = path / "checkpoints" / "last.npz"
        self.best = path / "model.npz"
        self.report = path / "report"
        self.logs = path / "logs"

    def log(self, record: dict[str, Any]) -> None:
        """Add a line to `metrics.jsonl`."""
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """Read `metrics.jsonl`; what a resumed run logged again counts once."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        lines = path.read_text().splitlines()
        records = {r["step"]: r for r in map(json.loads, filter(None, lines))}
        return [with_new_names("metrics", records[step]) for step in sorted(records)]

    def write_metrics_csv(self) -> None:
        """Write `metrics.csv` from the lines."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list[str](METRICS), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.history())
        atomic_write(self.path / "metrics.csv", text.getvalue())

    @property
    def command(self) -> str:
        """The command line that started the run, or the call."""
        return (self.path / "command.txt").read_text().strip()

    @property
    def is_task(self) -> bool:
        """Whether this is a run of a sequence task, and not of a filter's student."""
        return config_file.is_task(self._settings())

    def config(self) -> RunConfig:
        """Read the settings that a student's run was started with; UserError for a task's."""
        raw = self._settings()
        if config_file.is_task(raw):
            raise UsageError(
                f"{self.path.name} is a run of the sequence task {raw['sim']}",
                why="it has no filter and no student, and this command needs one",
                cure=f"kalmanrnn report {self.path}, or kalmanrnn eval {self.path}",
            )
        with self._readable():
            return config_file.run_config(raw)

    def task_config(self) -> TaskConfig:
        """Read the settings that a sequence task's run was started with."""
        raw = self._settings()
        with self._readable():
            return config_file.task_config(raw)

    def _settings(self) -> dict[str, Any]:
        with self._readable():
            raw = json.loads((self.path / "config.json").read_text())
            if not isinstance(raw, dict):
                raise ValueError("not a JSON object")
            return raw

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn a config.json that is missing or damaged into a UserError."""
        try:
            yield
        except FileNotFoundError:
            raise UserError(
                f"{self.path} is not a run's folder",
                why="it has no config.json",
                cure="kalmanrnn eval runs/latest",
            ) from None
        except (ValueError, KeyError, TypeError) as problem:
            raise UserError(
                f"{self.path / 'config.json'} is damaged",
                why=f"{type(problem).__name__}: {problem}",
                cure="restore it from a copy, or train again",
            ) from None


def create_run(
    path: Path | None, config: RunConfig | TaskConfig, command: Sequence[str]
) -> RunDirectory:
    """Make a new run's directory and point `latest` beside it to it; refuse one that exists."""
    if path is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = Path(config.sim).stem
        kind = f"-{config.student.student}" if isinstance(config, RunConfig) else ""
        path = Path("runs") / f"{stamp}-{name}{kind}"
    if path.exists():
        raise UsageError(
            f"{path} exists already",
            why="a run never overwrites another",
            cure=f"kalmanrnn train --resume {path}   (or another --out)",
        )
    run = fill_run(path, config, command)
    _point_latest(path)
    return run


def fill_run(path: Path, config: RunConfig | TaskConfig, command: Sequence[str]) -> RunDirectory:
    """Write what a run's directory begins with."""
    (path / "checkpoints").mkdir(parents=True)
    atomic_write(path / "config.json", json.dumps(asdict(config), indent=2) + "\n")
    atomic_write(path / "command.txt", " ".join(command) + "\n")
    atomic_write(path / "versions.json", json.dumps(versions(), indent=2) + "\n")
    return RunDirectory(path)


def open_run(path: Path) -> RunDirectory:
    """Open a run's directory; UserError if there is none."""
    if not path.is_dir():
        raise UsageError(
            f"there is no run in {path}",
            why="it is a file: a run's folder comes first, then the log"
            if path.exists()
            else "the folder does not exist",
            cure="kalmanrnn train --sim imu_gps",
        )
    return RunDirectory(path.resolve())


def _point_latest(path: Path) -> None:
    """Make `latest` beside the run a link to it, in one step."""
    beside = path.parent / f".latest-{os.getpid()}"
    try:
        beside.symlink_to(path.name)
        os.replace(beside, path.parent / "latest")
    except OSError as problem:
        beside.unlink(missing_ok=True)
        print(f"note: {path.parent / 'latest'} was not moved: {problem}", file=sys.stderr)
