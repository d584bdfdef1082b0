"""`kalmanrnn export` and `kalmanrnn verify`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from kalmanrnn.commands.common import choose_device, parse
from kalmanrnn.errors import DATA, OK
from kalmanrnn.runfolder import open_run


@dataclass(frozen=True)
class ExportFlags:
    """Turn a run's student, or a filter of its robot, into code for the robot; prove it equal."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run, such as runs/latest."""
    out: Path
    """The new folder."""
    estimator: Literal["student", "ekf", "ukf"] = "student"
    """What to export; a filter is that of the run's scenario."""
    format: tuple[str, ...] = ("numpy", "c", "onnx", "stablehlo")
    """Forms to write. The weights, the spec and the numpy runtime are always there."""
    max_ticks: int | None = None
    """Most ticks between two events; as in simulation if not given."""


def export(args: Sequence[str]) -> int:
    """Export and verify."""
    flags = parse(ExportFlags, args, prog="kalmanrnn export")
    choose_device("cpu")
    from kalmanrnn.export.folder import check_target, subject_of, write_export
    from kalmanrnn.export.verify import table
    from kalmanrnn.job import load_trained
    from kalmanrnn.scenario import load

    check_target(flags.out, flags.format)
    folder = open_run(flags.run)
    config = folder.config()
    scenario = load(config.sim, config.set)
    trained = load_trained(folder, scenario, config) if flags.estimator == "student" else None
    subject = subject_of(scenario, trained, flags.estimator, flags.max_ticks)
    print(f"writing {subject.machine.name} and proving it equal", file=sys.stderr)
    checks = write_export(subject, flags.out, flags.format)
    print(table(checks))
    print(f"\nexport: {flags.out}")
    return OK


@dataclass(frozen=True)
class VerifyFlags:
    """Run every form of an export that this machine can, and compare with what was recorded."""

    folder: tyro.conf.Positional[Path]
    """Folder that `kalmanrnn export` wrote."""


def verify(args: Sequence[str]) -> int:
    """Verify an export; exit code 3 where a form differs."""
    flags = parse(VerifyFlags, args, prog="kalmanrnn verify")
    choose_device("cpu")
    from kalmanrnn.export.verify import table
    from kalmanrnn.export.verify import verify as run_all

    checks = run_all(flags.folder)
    print(table(checks))
    return DATA if any(c.holds is False for c in checks) else OK
