"""`kalmanrnn train`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kalmanrnn.commands.common import Device, choose_device, parse, show
from kalmanrnn.config import (
    FINE_TUNING,
    DataConfig,
    LogsConfig,
    RunConfig,
    StudentConfig,
    TrainConfig,
    check_config,
    is_own,
)
from kalmanrnn.errors import OK, USAGE, UserError
from kalmanrnn.runfolder import create, open_run


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
    logs: LogsConfig = LogsConfig()


def train(args: Sequence[str]) -> int:
    """Train a student and report."""
    flags = parse(TrainFlags, args, prog="kalmanrnn train", default=_defaults(args))
    choose_device(flags.device)
    config = RunConfig(flags.sim, flags.set, flags.student, flags.data, flags.train, flags.logs)
    recordings: list[Any] = []
    if flags.resume is not None:
        folder = open_run(flags.resume)
        config = folder.config()
    else:
        from kalmanrnn.scenario import load

        check_config(config)
        load(config.sim, config.set)
        recordings = _openable(config)
        folder = create(flags.out, config, ["kalmanrnn", "train", *args])
    stop = stop_on_signal()
    if not config.logs.log:
        from kalmanrnn.job import train_and_report

        found = train_and_report(config, folder, stop=stop, quiet=flags.quiet)
        show(found, folder.report, as_json=flags.json)
        return OK
    from kalmanrnn.onlog import train_on_logs

    for place in train_on_logs(config, folder, recordings, stop=stop, quiet=flags.quiet):
        show(json.loads((place / "report.json").read_text()), place, as_json=flags.json)
    return OK


def _openable(config: RunConfig) -> list[Any]:
    """Read the logs and find the teacher before a run's folder is made for nothing."""
    if is_own(config.data.teacher):
        from kalmanrnn.own_teacher.loading import split_spec

        path, _ = split_spec(config.data.teacher)
        if not path.is_file():
            raise UserError(
                f"there is no teacher's file {path}",
                why=f"seen from {Path.cwd()}",
                cure="--teacher my_filter.py:make_filter; examples/my_filter.py is one",
                code=USAGE,
            )
    if not config.logs.log:
        return []
    from kalmanrnn.logset import check_apart
    from kalmanrnn.onlog import open_logs

    found = open_logs(config)
    check_apart(found)
    return found


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


def _defaults(args: Sequence[str]) -> TrainFlags:
    """Return what holds where no flag says otherwise: what `--config` and `--init` bring."""
    flags = _from_file(args)
    run = _value(args, "--init")
    if run is None:
        return flags
    student = open_run(Path(run)).config().student
    return replace(flags, student=student, train=FINE_TUNING)


def _value(args: Sequence[str], flag: str) -> str | None:
    """Return what a flag is given, before the flags are parsed."""
    for i, text in enumerate(args):
        if text.startswith(f"{flag}="):
            return text.split("=", 1)[1]
        if text == flag and i + 1 < len(args):
            return args[i + 1]
    return None


def _from_file(args: Sequence[str]) -> TrainFlags:
    """Read the defaults that `--config FILE` gives, under the flags."""
    flags = TrainFlags()
    path = _value(args, "--config")
    if path is None:
        return flags
    import yaml

    try:
        raw = yaml.safe_load(Path(path).read_text()) or {}
        parts = {
            name: replace(getattr(flags, name), **raw.pop(name, {}))
            for name in ("student", "data", "train", "logs")
        }
        raw["set"] = tuple(raw.get("set", ()))
        parts["logs"] = replace(parts["logs"], log=tuple(parts["logs"].log))
        return replace(flags, **raw, **parts)
    except (OSError, yaml.YAMLError, TypeError, ValueError, AttributeError) as problem:
        raise UserError(
            f"--config {path} cannot be used",
            why=str(problem).splitlines()[0],
            cure="start from the config.json of a run, such as runs/latest/config.json",
        ) from None
