"""`kalmanrnn export` and `kalmanrnn verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from kalmanrnn.cli.common import choose_device, parse
from kalmanrnn.core.errors import DATA, OK
from kalmanrnn.deploy.options import FORMATS, INT8_LIMIT, Target, Weights


@dataclass(frozen=True)
class ExportFlags:
    """Turn a run's student, or a filter of its scenario, into code for a robot; verify it."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run, such as runs/latest."""
    out: Path
    """The new folder."""
    estimator: Literal["student", "ekf", "ukf"] = "student"
    """What to export; a filter is that of the run's scenario."""
    format: tuple[str, ...] = FORMATS
    """Formats to write. Weights, spec and the numpy runtime are always written."""
    max_ticks: int | None = None
    """Most ticks between two events; as in simulation if not given."""
    weights: Weights = "float32"
    """int8 rounds the network's matrices, with one scale per output unit: a quarter of their
    flash. Every format then holds the rounded network; the C stores it as bytes."""
    int8_limit: float = INT8_LIMIT
    """Largest ratio of int8 to float32 error allowed in any state group, on 64 simulated test
    drives; above it nothing is exported."""
    target: Target = "portable"
    """Processor the C loops are written for: with vector units, or a Cortex-M."""


def export(args: Sequence[str]) -> int:
    """Export and verify."""
    flags = parse(ExportFlags, args, prog="kalmanrnn export")
    choose_device("cpu")
    from kalmanrnn.deploy import export_folder
    from kalmanrnn.deploy.verification.checks import format_checks
    from kalmanrnn.training.run_directory import open_run
    from kalmanrnn.training.trained import load_student, scenario_of

    estimator, scenario = flags.estimator, None
    if estimator == "student":
        estimator = load_student(flags.run)
    else:
        scenario = scenario_of(open_run(flags.run).config(), flags.run)
    checks = export_folder.export(
        estimator,
        flags.out,
        scenario=scenario,
        formats=flags.format,
        max_ticks=flags.max_ticks,
        weights=flags.weights,
        int8_limit=flags.int8_limit,
        target=flags.target,
    )
    print(format_checks(checks))
    print(f"\nexport: {flags.out}")
    return OK


@dataclass(frozen=True)
class VerifyFlags:
    """Run every format of an export that this machine can, and compare with recorded events."""

    folder: tyro.conf.Positional[Path]
    """Folder that `kalmanrnn export` wrote."""


def verify(args: Sequence[str]) -> int:
    """Verify an export; exit code 3 where a format differs."""
    flags = parse(VerifyFlags, args, prog="kalmanrnn verify")
    choose_device("cpu")
    from kalmanrnn.deploy.verification import checks

    found = checks.verify(flags.folder)
    print(checks.format_checks(found))
    return DATA if any(c.passed is False for c in found) else OK
