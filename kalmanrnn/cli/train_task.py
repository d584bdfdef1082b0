"""`kalmanrnn train` for a sequence task, whose file has the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kalmanrnn.cli.common import (
    Device,
    choose_device_of,
    flag_value,
    flag_values,
    parse,
    print_report,
    stop_on_signal,
)
from kalmanrnn.core.config import BudgetConfig, NetworkConfig, TaskConfig, check_task_config
from kalmanrnn.core.errors import OK
from kalmanrnn.training.run_directory import create_run, open_run


@dataclass(frozen=True)
class TaskFlags:
    """Train a network on a sequence task, evaluate it on test sequences, and report."""

    sim: str
    """Name of a bundled task, or a path to a .py file that exports TASK."""
    set: tuple[str, ...] = ()
    """Parameters of the task's make(), as name=value; they change the defaults below."""
    out: Path | None = None
    """Folder of the run; runs/<time>-<sim> if not given."""
    resume: Path | None = None
    """Resume a stopped run with its own settings."""
    device: Device = "auto"
    """Where JAX runs."""
    json: bool = False
    """Print report.json on stdout instead of the tables."""
    quiet: bool = False
    """No progress on stderr."""
    network: NetworkConfig = NetworkConfig()
    budget: BudgetConfig = BudgetConfig()


def train_task(args: Sequence[str]) -> int:
    """Train on a task and report."""
    choose_device_of(args)
    resumed = flag_value(args, "--resume")
    if resumed is not None:
        folder = open_run(Path(resumed))
        config = folder.task_config()
        flags = parse(TaskFlags, args, prog="kalmanrnn train", default=flags_of(config))
    else:
        flags = parse(TaskFlags, args, prog="kalmanrnn train", default=defaults(args))
        config = TaskConfig(flags.sim, flags.set, flags.network, flags.budget)
        check_task_config(config)
        from kalmanrnn.tasks.run import load_configured_task

        load_configured_task(config)
        folder = create_run(flags.out, config, ["kalmanrnn", "train", *args])
    from kalmanrnn.tasks.run import train_task as train

    train(config, folder, stop=stop_on_signal(), quiet=flags.quiet)
    print_report(folder.report, as_json=flags.json)
    return OK


def flags_of(config: TaskConfig) -> TaskFlags:
    """Return the flags of a run's settings."""
    return TaskFlags(config.sim, config.set, network=config.network, budget=config.budget)


def defaults(args: Sequence[str]) -> TaskFlags:
    """Return the defaults: those in the task's file."""
    from kalmanrnn.tasks.task import load_task

    sim, settings = flag_value(args, "--sim"), tuple(flag_values(args, "--set"))
    assert sim is not None
    task = load_task(sim, settings)
    return TaskFlags(sim, settings, network=task.network, budget=task.budget)
