"""A run's folder: settings, command, versions, metrics, checkpoints, report."""

from __future__ import annotations

import csv
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kalmanrnn.core.config import (
    BudgetConfig,
    DataConfig,
    LogsConfig,
    NetworkConfig,
    RunConfig,
    StudentConfig,
    TaskConfig,
    TrainConfig,
)
from kalmanrnn.core.errors import USAGE, UserError

PACKAGES = ("kalmanrnn", "jax", "jaxlib", "flax", "optax", "filterpy", "numpy", "scipy")
METRICS = ("step", "part", "loss", "seconds", "score", "held_out_m", "skipped", "anchored")


class RunFolder:
    """Where one run writes; made by `create` or taken up again by `open_run`."""

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
        """Read `metrics.jsonl`; what a resumed run said again counts once."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        lines = path.read_text().splitlines()
        records = {r["step"]: r for r in map(json.loads, filter(None, lines))}
        return [records[step] for step in sorted(records)]

    def finish(self) -> None:
        """Write `metrics.csv` from the lines."""
        with open(self.path / "metrics.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, list[str](METRICS), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.history())

    @property
    def is_task(self) -> bool:
        """Whether this is a run of a sequence task, and not of a filter's student."""
        return "network" in self._settings()

    def config(self) -> RunConfig:
        """Read the settings that a student's run was started with; UserError for a task's."""
        raw = self._settings()
        if "network" in raw:
            raise UserError(
                f"{self.path.name} is a run of the sequence task {raw['sim']}",
                why="there is no filter and no student in it, and this needs one",
                cure=f"kalmanrnn report {self.path}, or kalmanrnn eval {self.path}",
                code=USAGE,
            )
        with self._damaged():
            return RunConfig(
                sim=raw["sim"],
                set=tuple(raw["set"]),
                student=StudentConfig(**raw["student"]),
                data=DataConfig(**raw["data"]),
                train=TrainConfig(**raw["train"]),
                logs=LogsConfig(**_tuples(raw.get("logs", {}))),
            )

    def task_config(self) -> TaskConfig:
        """Read the settings that a sequence task's run was started with."""
        raw = self._settings()
        with self._damaged():
            network = raw["network"] | {"conv": tuple(map(tuple, raw["network"]["conv"]))}
            return TaskConfig(
                sim=raw["sim"],
                set=tuple(raw["set"]),
                network=NetworkConfig(**network),
                budget=BudgetConfig(**raw["budget"]),
            )

    def _settings(self) -> dict[str, Any]:
        with self._damaged():
            raw = json.loads((self.path / "config.json").read_text())
            if not isinstance(raw, dict):
                raise ValueError("it is no table")
            return raw

    @contextmanager
    def _damaged(self) -> Iterator[None]:
        """Tell of a config.json that is missing or cannot be read."""
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


def create(path: Path | None, config: RunConfig | TaskConfig, command: list[str]) -> RunFolder:
    """Make a new run's folder and point `runs/latest` to it; refuse one that exists."""
    if path is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = Path(config.sim).stem
        kind = f"-{config.student.student}" if isinstance(config, RunConfig) else ""
        path = Path("runs") / f"{stamp}-{name}{kind}"
    if path.exists():
        raise UserError(
            f"{path} exists already",
            why="a run never writes over another",
            cure=f"kalmanrnn train --resume {path}   (or another --out)",
            code=USAGE,
        )
    (path / "checkpoints").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")
    (path / "command.txt").write_text(" ".join(command) + "\n")
    (path / "versions.json").write_text(json.dumps(versions(), indent=2) + "\n")
    _point_latest(path)
    return RunFolder(path)


def open_run(path: Path) -> RunFolder:
    """Take up a run's folder; UserError if there is none."""
    if not path.is_dir():
        raise UserError(
            f"there is no run in {path}",
            why="it is a file: a run's folder comes first, then the log"
            if path.exists()
            else "the folder does not exist",
            cure="kalmanrnn train --sim imu_gps",
            code=USAGE,
        )
    return RunFolder(path.resolve())


def versions() -> dict[str, str]:
    """Name the versions that a result depends on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found["system"] = platform.system()
    found["cores"] = str(os.cpu_count())
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in raw.items()}


def _point_latest(path: Path) -> None:
    """Make `latest` beside the run a link to it, in one step."""
    beside = path.parent / f".latest-{os.getpid()}"
    try:
        beside.symlink_to(path.name)
        os.replace(beside, path.parent / "latest")
    except OSError as problem:
        beside.unlink(missing_ok=True)
        print(f"note: {path.parent / 'latest'} was not moved: {problem}", file=sys.stderr)
