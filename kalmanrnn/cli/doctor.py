"""`kalmanrnn doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kalmanrnn.cli.common import Device, choose_device_of, flag_value, flag_values, parse
from kalmanrnn.core.config import (
    BudgetConfig,
    NetworkConfig,
    RunConfig,
    StudentConfig,
    TaskConfig,
    TrainConfig,
    check_config,
    check_task_config,
)
from kalmanrnn.core.errors import UsageError
from kalmanrnn.scenarios.catalogue import exports_task

if TYPE_CHECKING:
    from kalmanrnn.diagnostics.training.diagnosis import Diagnosis


@dataclass(frozen=True)
class DoctorFlags:
    """Find out why a network does not learn, from arrays, a sim or a trained run."""

    run: tyro.conf.Positional[Path | None] = None
    """Folder of a trained run."""
    arrays: Path | None = None
    """An .npz with inputs [N, T, F] and targets [N, T, D] or [N, D]; if there is a validation set,
    validation_inputs and validation_targets too."""
    sim: str | None = None
    """Name of a bundled sim, or a path to a .py file that exports SCENARIO or TASK."""
    set: tuple[str, ...] = ()
    """Parameters of the sim's make(), as name=value."""
    stateful: bool = False
    """With --arrays: the state is carried from each sequence into the next."""
    learning_rate: float | None = None
    """With --arrays: your learning rate with Adam."""
    output_range: tuple[float, float] | None = None
    """With --arrays: lowest and highest possible output, such as -1 1 after a tanh."""
    learn: bool = True
    """Also train small networks, for about a minute; otherwise only the data are checked."""
    out: Path | None = None
    """Folder for the figure, doctor.png."""
    json: bool = False
    """Print findings and curves as JSON instead."""
    quiet: bool = False
    """No progress on stderr."""
    device: Device = "auto"
    """Where JAX runs."""
    student: StudentConfig = StudentConfig()
    train: TrainConfig = TrainConfig()


@dataclass(frozen=True)
class TaskFlags:
    """Find out why a network does not learn a sequence task."""

    sim: str
    """Name of a bundled task, or a path to a .py file that exports TASK."""
    set: tuple[str, ...] = ()
    """Parameters of the task's make(), as name=value; they change the defaults below."""
    learn: bool = True
    """Also train small networks, for about a minute; otherwise only the data are checked."""
    out: Path | None = None
    """Folder for the figure, doctor.png."""
    json: bool = False
    """Print findings and curves as JSON instead."""
    quiet: bool = False
    """No progress on stderr."""
    device: Device = "auto"
    """Where JAX runs."""
    network: NetworkConfig = NetworkConfig()
    budget: BudgetConfig = BudgetConfig()


def doctor(args: Sequence[str]) -> int:
    """Diagnose arrays, a sim or a run; exit code 3 if something keeps the network from learning."""
    choose_device_of(args)
    sim = flag_value(args, "--sim")
    if sim is not None and exports_task(sim):
        return _diagnose_task(args, sim)
    flags = parse(DoctorFlags, args, prog="kalmanrnn doctor")
    asked = [flags.run, flags.arrays, flags.sim]
    if sum(a is not None for a in asked) != 1:
        raise UsageError(
            "doctor diagnoses one thing at a time",
            why="give a run's folder, or --arrays FILE.npz, or --sim NAME",
            cure="kalmanrnn doctor --sim imu_gps",
        )
    _check_flags(flags)
    log = _logger(flags.quiet)
    if flags.arrays is not None:
        seen = _diagnose_arrays(flags, flags.arrays, log)
    elif flags.run is not None:
        from kalmanrnn.diagnostics.training.from_run import from_run

        seen = from_run(flags.run, log)
    else:
        from kalmanrnn.diagnostics.training.from_sim import from_sim

        config = RunConfig(str(flags.sim), flags.set, flags.student, train=flags.train)
        check_config(config)
        seen = from_sim(config, log, learn=flags.learn)
    return _show(seen, flags.out, as_json=flags.json)


def _check_flags(flags: DoctorFlags) -> None:
    """Refuse flags that would have no effect: UserError."""
    own = {"stateful": "arrays", "learning_rate": "arrays", "output_range": "arrays"}
    own |= {"set": "sim", "student": "sim", "train": "sim"}
    blank = DoctorFlags()
    for name, place in own.items():
        if getattr(flags, place) is None and getattr(flags, name) != getattr(blank, name):
            which = f"flags of {name}" if name in ("student", "train") else f"--{name}"
            raise UsageError(
                f"{which.replace('_', '-')} would have no effect",
                why=f"only --{place} uses that",
                cure="leave it out",
            )


def _diagnose_arrays(flags: DoctorFlags, path: Path, log: Any) -> Diagnosis:
    """Read the file and diagnose it."""
    from kalmanrnn.diagnostics.training.arrays import read_arrays
    from kalmanrnn.diagnostics.training.diagnosis import run_checks
    from kalmanrnn.diagnostics.training.settings import DiagnosisConfig

    settings = DiagnosisConfig(
        stateful=flags.stateful,
        learning_rate=flags.learning_rate,
        output_range=flags.output_range,
        learn=flags.learn,
    )
    found = read_arrays(path)
    return run_checks(found.train, found.validation, None, settings, log)


def _diagnose_task(args: Sequence[str], sim: str) -> int:
    """Diagnose a sequence task."""
    from kalmanrnn.diagnostics.training.from_task import from_task
    from kalmanrnn.tasks.task import load_task

    settings = tuple(flag_values(args, "--set"))
    task = load_task(sim, settings)
    default = TaskFlags(sim, settings, network=task.network, budget=task.budget)
    flags = parse(TaskFlags, args, prog="kalmanrnn doctor", default=default)
    config = TaskConfig(flags.sim, flags.set, flags.network, flags.budget)
    check_task_config(config)
    seen = from_task(config, _logger(flags.quiet), learn=flags.learn)
    return _show(seen, flags.out, as_json=flags.json)


def _logger(quiet: bool) -> Any:
    return lambda line: None if quiet else print(f"doctor: {line}", file=sys.stderr, flush=True)


def _show(seen: Diagnosis, out: Path | None, *, as_json: bool) -> int:
    """Print the findings, draw the figure, return the exit code."""
    from kalmanrnn.diagnostics.finding import exit_code
    from kalmanrnn.diagnostics.training.text import diagnosis_to_json, format_diagnosis

    drawn = None
    if out is not None:
        from kalmanrnn.diagnostics.training.figure import draw

        out.mkdir(parents=True, exist_ok=True)
        drawn = out / "doctor.png" if draw(seen, out / "doctor.png") else None
    if as_json:
        print(json.dumps(diagnosis_to_json(seen)))
    else:
        print(format_diagnosis(seen))
        if drawn is not None:
            print(f"\nfigure: {drawn}")
    return exit_code(seen.findings)
