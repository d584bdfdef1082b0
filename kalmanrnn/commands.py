"""What each command does. Heavy imports come after the flags have been read."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

from kalmanrnn.config import DataConfig, RunConfig, StudentConfig, TrainConfig, check_config
from kalmanrnn.errors import OK, USAGE, UserError
from kalmanrnn.runfolder import create, open_run

Flags = TypeVar("Flags")
Device = Literal["auto", "cpu", "gpu", "tpu"]


@dataclass(frozen=True)
class TrainFlags:
    """Simulate drives, run the filter, train a student on it, and report side by side."""

    sim: str = "imu_gps"
    """Name of a shipped sim, or a path to a .py file that exports SCENARIO."""
    set: tuple[str, ...] = ()
    """Parameters of the sim's make(), as name=value."""
    out: Path | None = None
    """Folder of the run; runs/<time>-<sim>-<student> if not given."""
    resume: Path | None = None
    """Go on with a run that was stopped; its settings are kept."""
    config: Path | None = None
    """A config.json of another run, or YAML of the same form; flags go over it."""
    device: Device = "auto"
    """Where JAX runs."""
    json: bool = False
    """Print report.json on stdout instead of the tables."""
    quiet: bool = False
    """No progress on stderr."""
    student: StudentConfig = StudentConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()


def train(args: Sequence[str]) -> int:
    """Train a student and report."""
    flags = parse(TrainFlags, args, prog="kalmanrnn train", default=_from_file(args))
    choose_device(flags.device)
    from kalmanrnn.job import train_and_report

    config = RunConfig(flags.sim, flags.set, flags.student, flags.data, flags.train)
    if flags.resume is not None:
        folder = open_run(flags.resume)
        config = folder.config()
    else:
        from kalmanrnn.scenario import load

        check_config(config)
        load(config.sim, config.set)
        folder = create(flags.out, config, ["kalmanrnn", "train", *args])
    report = train_and_report(config, folder, stop=stop_on_signal(), quiet=flags.quiet)
    show(report, folder.report, as_json=flags.json)
    return OK


@dataclass(frozen=True)
class EvalFlags:
    """Judge a trained run again: on fresh simulated drives, or on a log with --log and --map."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run, such as runs/latest."""
    log: Path | None = None
    """Folder of CSV files to judge on instead of simulated drives."""
    map: Path | None = None
    """YAML that says which files and columns of the log mean what."""
    sim: str | None = None
    """Another sim to judge on; the run's own if not given."""
    drives: int | None = None
    """Simulated drives; as many as in training's report if not given."""
    seconds: float | None = None
    """Length of each simulated drive [s]; as in training if not given."""
    seed: int | None = None
    """Seed of the simulated drives; the run's own if not given."""
    outage_s: float = 10.0
    """Length of the GPS outages tried on a log [s]."""
    outage_at: tuple[float, ...] = (15.0, 35.0)
    """When they begin, in seconds after the log's first event."""
    skip_s: float | None = None
    """Start of each drive that no figure counts [s]; 5 for a log, as in training else."""
    out: Path | None = None
    """Folder of the report; a new one inside the run if not given."""
    device: Device = "auto"
    """Where JAX runs."""
    json: bool = False
    """Print report.json on stdout instead of the tables."""


def evaluate(args: Sequence[str]) -> int:
    """Judge a trained run again."""
    flags = parse(EvalFlags, args, prog="kalmanrnn eval")
    if (flags.log is None) != (flags.map is None):
        raise UserError(
            "--log and --map go together",
            why="a folder of CSV files means nothing without the map that names its columns",
            cure="kalmanrnn eval RUN --log DIR --map DIR/map.yaml",
            code=USAGE,
        )
    choose_device(flags.device)
    from kalmanrnn.job import evaluate_log, evaluate_simulated

    folder = open_run(flags.run)
    out = flags.out or folder.path / f"eval-{time.strftime('%Y%m%d-%H%M%S')}"
    if out.exists():
        raise UserError(
            f"{out} exists already",
            why="a report never writes over another",
            cure=f"kalmanrnn eval {flags.run} --out ANOTHER",
            code=USAGE,
        )
    line = " ".join(["kalmanrnn", "eval", *args])
    run = evaluate_simulated if flags.log is None else evaluate_log
    show(run(folder, flags, out, line), out, as_json=flags.json)
    return OK


@dataclass(frozen=True)
class ReportFlags:
    """Print a run's report."""

    run: tyro.conf.Positional[Path]
    """Folder of a run, or of one of its reports."""
    json: bool = False
    """Print report.json instead."""


def report(args: Sequence[str]) -> int:
    """Print a run's report."""
    flags = parse(ReportFlags, args, prog="kalmanrnn report")
    folder = open_run(flags.run).path
    place = folder / "report" if (folder / "report").is_dir() else folder
    if not (place / "report.json").exists():
        raise UserError(
            f"there is no report in {flags.run}",
            why="the run was stopped before its end",
            cure=f"kalmanrnn train --resume {flags.run}",
        )
    show(json.loads((place / "report.json").read_text()), place, as_json=flags.json)
    return OK


def sims(args: Sequence[str]) -> int:
    """List the shipped sims, one line each."""
    if args:
        raise UserError(
            f"sims takes no {args[0]!r}",
            why="it only lists the robots that come along",
            cure="kalmanrnn sims",
            code=USAGE,
        )
    from kalmanrnn.sims_index import list_sims

    for name, summary in list_sims():
        print(f"{name:10s} {summary}")
    return OK


def parse(
    kind: type[Flags], args: Sequence[str], *, prog: str, default: Flags | None = None
) -> Flags:
    """Read flags as a dataclass says; tyro prints help and usage errors (exit code 2)."""
    flat: Any = tyro.conf.OmitArgPrefixes[kind]
    extra: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(flat, prog=prog, args=list(args), **extra)


def choose_device(device: Device) -> None:
    """Tell JAX where to run, before it is imported."""
    if device != "auto":
        os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(device, device)


def show(found: dict[str, Any], folder: Path, *, as_json: bool) -> None:
    """Print a report on stdout, and where it lies."""
    if as_json:
        print(json.dumps(found))
        return
    print((folder / "report.md").read_text(), end="")
    print(f"\nreport: {folder / 'report.html'}")


def stop_on_signal() -> Any:
    """Make Ctrl-C and SIGTERM end training after the step in hand; a second one ends it at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("stopping after this step; saving", file=sys.stderr)

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    return lambda step: bool(asked)


def _from_file(args: Sequence[str]) -> TrainFlags:
    """Read the defaults that `--config FILE` gives, under the flags."""
    flags = TrainFlags()
    names = [a.split("=", 1) for a in args]
    path = next((n[1] for n in names if n[0] == "--config" and len(n) == 2), None)
    if path is None and "--config" in args[:-1]:
        path = args[list(args).index("--config") + 1]
    if path is None:
        return flags
    import yaml

    try:
        raw = yaml.safe_load(Path(path).read_text()) or {}
        parts = {
            name: replace(getattr(flags, name), **raw.pop(name, {}))
            for name in ("student", "data", "train")
        }
        raw["set"] = tuple(raw.get("set", ()))
        return replace(flags, **raw, **parts)
    except (OSError, yaml.YAMLError, TypeError, ValueError, AttributeError) as problem:
        raise UserError(
            f"--config {path} cannot be used",
            why=str(problem).splitlines()[0],
            cure="start from the config.json of a run, such as runs/latest/config.json",
        ) from None
