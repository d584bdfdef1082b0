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
from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.scenarios.catalogue import exports_task

if TYPE_CHECKING:
    from kalmanrnn.diagnostics.training.diagnose import Diagnosis


@dataclass(frozen=True)
class DoctorFlags:
    """Find out why a network does not learn: of arrays, of a sim, or of a trained run."""

    run: tyro.conf.Positional[Path | None] = None
    """Folder of a trained run."""
    arrays: Path | None = None
    """An .npz with inputs [N, T, F] and targets [N, T, D] or [N, D]; held_inputs, held_targets."""
    sim: str | None = None
    """Name of a shipped sim, or a path to a .py file that exports SCENARIO or TASK."""
    set: tuple[str, ...] = ()
    """Parameters of the sim's make(), as name=value."""
    carried: bool = False
    """With --arrays: the state is carried from each sequence into the next (stateful)."""
    learning_rate: float | None = None
    """With --arrays: the learning rate that you use with Adam."""
    output_range: tuple[float, float] | None = None
    """With --arrays: what your output can be, such as -1 1 behind a tanh."""
    learn: bool = True
    """Train small networks for a while as well; without, the data alone are looked at."""
    out: Path | None = None
    """Folder for the picture, doctor.png."""
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
    """Name of a shipped task, or a path to a .py file that exports TASK."""
    set: tuple[str, ...] = ()
    """Parameters of the task's make(), as name=value; defaults below follow from them."""
    learn: bool = True
    """Train small networks for a while as well; without, the data alone are looked at."""
    out: Path | None = None
    """Folder for the picture, doctor.png."""
    json: bool = False
    """Print findings and curves as JSON instead."""
    quiet: bool = False
    """No progress on stderr."""
    device: Device = "auto"
    """Where JAX runs."""
    network: NetworkConfig = NetworkConfig()
    budget: BudgetConfig = BudgetConfig()


def doctor(args: Sequence[str]) -> int:
    """Examine arrays, a sim or a run; exit code 3 where something keeps it from learning."""
    choose_device_of(args)
    sim = flag_value(args, "--sim")
    if sim is not None and exports_task(sim):
        return _task(args, sim)
    flags = parse(DoctorFlags, args, prog="kalmanrnn doctor")
    asked = [flags.run, flags.arrays, flags.sim]
    if sum(a is not None for a in asked) != 1:
        raise UserError(
            "doctor looks at one thing at a time",
            why="it wants a run's folder, or --arrays FILE.npz, or --sim NAME",
            cure="kalmanrnn doctor --sim imu_gps",
            code=USAGE,
        )
    _used(flags)
    tell = _tell(flags.quiet)
    if flags.arrays is not None:
        seen = _arrays(flags, flags.arrays, tell)
    elif flags.run is not None:
        from kalmanrnn.diagnostics.training.from_run import from_run

        seen = from_run(flags.run, tell)
    else:
        from kalmanrnn.diagnostics.training.from_sim import from_sim

        config = RunConfig(str(flags.sim), flags.set, flags.student, train=flags.train)
        check_config(config)
        seen = from_sim(config, tell, learn=flags.learn)
    return _show(seen, flags.out, as_json=flags.json)


def _used(flags: DoctorFlags) -> None:
    """Refuse flags that this look would not use: UserError."""
    own = {"carried": "arrays", "learning_rate": "arrays", "output_range": "arrays"}
    own |= {"set": "sim", "student": "sim", "train": "sim"}
    blank = DoctorFlags()
    for name, place in own.items():
        if getattr(flags, place) is None and getattr(flags, name) != getattr(blank, name):
            told = f"flags of {name}" if name in ("student", "train") else f"--{name}"
            raise UserError(
                f"{told.replace('_', '-')} would not be used here",
                why=f"they go with --{place}",
                cure="leave them out",
                code=USAGE,
            )


def _arrays(flags: DoctorFlags, path: Path, tell: Any) -> Diagnosis:
    """Read the file and examine it."""
    from kalmanrnn.diagnostics.training.arrays import read_arrays
    from kalmanrnn.diagnostics.training.diagnose import examine
    from kalmanrnn.diagnostics.training.settings import Settings

    rate = flags.learning_rate
    if rate is not None and not rate > 0:
        raise UserError(
            f"--learning-rate {rate} cannot be",
            why="it must be more than 0",
            cure="--learning-rate 1e-3",
            code=USAGE,
        )
    found = read_arrays(path)
    settings = Settings(
        carried=flags.carried,
        learning_rate=rate,
        output_range=flags.output_range,
        learn=flags.learn,
    )
    return examine(found.train, found.held, None, settings, tell)


def _task(args: Sequence[str], sim: str) -> int:
    """Examine a sequence task."""
    from kalmanrnn.diagnostics.training.from_task import from_task
    from kalmanrnn.tasks.task import load_task

    settings = tuple(flag_values(args, "--set"))
    task = load_task(sim, settings)
    default = TaskFlags(sim, settings, network=task.network, budget=task.budget)
    flags = parse(TaskFlags, args, prog="kalmanrnn doctor", default=default)
    config = TaskConfig(flags.sim, flags.set, flags.network, flags.budget)
    check_task_config(config)
    seen = from_task(config, _tell(flags.quiet), learn=flags.learn)
    return _show(seen, flags.out, as_json=flags.json)


def _tell(quiet: bool) -> Any:
    return lambda line: None if quiet else print(f"doctor: {line}", file=sys.stderr, flush=True)


def _show(seen: Diagnosis, out: Path | None, *, as_json: bool) -> int:
    """Print what was found, draw the picture, give the exit code."""
    from kalmanrnn.diagnostics.finding import exit_code
    from kalmanrnn.diagnostics.training.text import plain, sheet

    drawn = None
    if out is not None:
        from kalmanrnn.diagnostics.training.figure import draw

        out.mkdir(parents=True, exist_ok=True)
        drawn = out / "doctor.png" if draw(seen, out / "doctor.png") else None
    if as_json:
        print(json.dumps(plain(seen)))
    else:
        print(sheet(seen))
        if drawn is not None:
            print(f"\npicture: {drawn}")
    return exit_code(seen.findings)
