"""`kalmanrnn train`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kalmanrnn.commands.common import Device, choose_device, parse, show
from kalmanrnn.config import DataConfig, RunConfig, StudentConfig, TrainConfig, check_config
from kalmanrnn.errors import OK, UserError
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
