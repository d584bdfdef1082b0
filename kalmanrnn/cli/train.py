"""`kalmanrnn train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kalmanrnn.cli.common import (
    Device,
    choose_device,
    flag_value,
    parse,
    print_report,
    stop_on_signal,
)
from kalmanrnn.core.config import (
    FINE_TUNING,
    DataConfig,
    LogsConfig,
    RunConfig,
    StudentConfig,
    TrainConfig,
    check_config,
    is_external,
)
from kalmanrnn.core.config_file import section
from kalmanrnn.core.errors import OK, UsageError, UserError
from kalmanrnn.scenarios.catalogue import exports_task
from kalmanrnn.training.run_directory import create_run, open_run


@dataclass(frozen=True)
class TrainFlags:
    """Simulate drives, run the filter, train a student on it, report both side by side."""

    sim: str = "imu_gps"
    """Name of a shipped sim, or a path to a .py file that exports SCENARIO (or TASK)."""
    set: tuple[str, ...] = ()
    """Parameters of the sim's make(), as name=value."""
    out: Path | None = None
    """Folder of the run; default: runs/<time>-<sim>-<student>."""
    resume: Path | None = None
    """Resume an interrupted run with its own settings."""
    config: Path | None = None
    """The config.json of a run, or YAML of the same form; flags override it."""
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
    """Train a student, or a sequence task's network, and report."""
    if is_task(args):
        from kalmanrnn.cli.train_task import train_task

        return train_task(args)
    flags = parse(TrainFlags, args, prog="kalmanrnn train", default=defaults(args))
    choose_device(flags.device)
    config = RunConfig(flags.sim, flags.set, flags.student, flags.data, flags.train, flags.logs)
    recordings: list[Any] = []
    if flags.resume is not None:
        folder = open_run(flags.resume)
        config = folder.config()
    else:
        from kalmanrnn.scenarios.scenario import load_scenario

        check_config(config)
        load_scenario(config.sim, config.set)
        recordings = read_logs(config)
        folder = create_run(flags.out, config, ["kalmanrnn", "train", *args])
    stop = stop_on_signal()
    if not config.logs.log:
        from kalmanrnn.experiments.run_training import train_and_report
        from kalmanrnn.scenarios.scenario import load_scenario

        scenario = load_scenario(config.sim, config.set)
        train_and_report(scenario, config, folder, stop=stop, quiet=flags.quiet)
        print_report(folder.report, as_json=flags.json)
        return OK
    from kalmanrnn.experiments.on_logs import train_on_logs

    for place in train_on_logs(config, folder, recordings, stop=stop, quiet=flags.quiet):
        print_report(place, as_json=flags.json)
    return OK


def is_task(args: Sequence[str]) -> bool:
    """Whether the command names a sequence task, or a run of one to resume."""
    run = flag_value(args, "--resume")
    if run is not None:
        return Path(run).is_dir() and open_run(Path(run)).is_task
    sim = flag_value(args, "--sim")
    return sim is not None and exports_task(sim)


def read_logs(config: RunConfig) -> list[Any]:
    """Read the logs and find the teacher before a run's folder is made."""
    if is_external(config.data.teacher):
        from kalmanrnn.filters.external.loading import split_spec

        path, _ = split_spec(config.data.teacher)
        if not path.is_file():
            raise UsageError(
                f"there is no teacher's file {path}",
                why=f"seen from {Path.cwd()}",
                cure="--teacher my_filter.py:make_filter; examples/my_filter.py is one",
            )
    if not config.logs.log:
        return []
    from kalmanrnn.data.log_dataset import check_distinct
    from kalmanrnn.experiments.on_logs import open_logs

    found = open_logs(config)
    check_distinct(found)
    return found


def defaults(args: Sequence[str]) -> TrainFlags:
    """Return the defaults under the flags: from `--config` and `--init`."""
    path, run = flag_value(args, "--config"), flag_value(args, "--init")
    flags = TrainFlags() if path is None else _from_file(path)
    if run is None:
        return flags
    student = open_run(Path(run)).config().student
    return replace(flags, student=student, train=FINE_TUNING)


def _from_file(path: str) -> TrainFlags:
    import yaml

    try:
        raw = yaml.safe_load(Path(path).read_text()) or {}
        parts = {
            name: section(name, raw.pop(name, {})) for name in ("student", "data", "train", "logs")
        }
        raw["set"] = tuple(raw.get("set", ()))
        return replace(TrainFlags(), **raw, **parts)
    except (OSError, yaml.YAMLError, TypeError, ValueError, AttributeError) as problem:
        raise UserError(
            f"--config {path} cannot be used",
            why=str(problem).splitlines()[0],
            cure="start from the config.json of a run, such as runs/latest/config.json",
        ) from None
