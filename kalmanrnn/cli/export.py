"""`kalmanrnn export` and `kalmanrnn verify`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from kalmanrnn.cli.common import choose_device, parse
from kalmanrnn.core.errors import DATA, OK
from kalmanrnn.training.run_directory import open_run


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
    weights: Literal["float32", "int8"] = "float32"
    """int8 rounds the network's matrices, one scale for each output unit: a quarter of the flash
    for them. All forms are then of the rounded network; the C holds it in bytes."""
    int8_limit: float = 1.02
    """Most that int8 weights may multiply the error of any state group with, on 64 held-out
    simulated drives; above it nothing is exported."""
    target: Literal["portable", "cortex-m"] = "portable"
    """Whose C loops: vectors of large processors, or the registers of a Cortex-M."""


def export(args: Sequence[str]) -> int:
    """Export and verify."""
    flags = parse(ExportFlags, args, prog="kalmanrnn export")
    choose_device("cpu")
    from kalmanrnn.deploy.export_folder import check_options, subject_of, write_export
    from kalmanrnn.deploy.int8.quantise import check_options
    from kalmanrnn.deploy.verification.checks import format_checks
    from kalmanrnn.scenarios.scenario import load_scenario
    from kalmanrnn.training.trained import load_trained

    check_options(flags.out, flags.format)
    check_options(flags.weights, flags.estimator, flags.int8_limit)
    folder = open_run(flags.run)
    config = folder.config()
    scenario = load_scenario(config.sim, config.set)
    trained = load_trained(folder, scenario, config) if flags.estimator == "student" else None
    judged = None
    if trained and flags.weights == "int8":
        from kalmanrnn.deploy.int8.evaluate import DRIVES, quantise_within

        print(f"rounding weights and judging them on {DRIVES} drives", file=sys.stderr)
        judged = quantise_within(trained, config.data, config.train.seed, flags.int8_limit)
    ways = {"target": flags.target, "judged": judged}
    subject = subject_of(scenario, trained, flags.estimator, flags.max_ticks, **ways)
    print(f"writing {subject.machine.name} and proving it equal", file=sys.stderr)
    checks = write_export(subject, flags.out, flags.format)
    print(format_checks(checks))
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
    from kalmanrnn.deploy.verification.checks import format_checks
    from kalmanrnn.deploy.verification.checks import verify as run_all

    checks = run_all(flags.folder)
    print(format_checks(checks))
    return DATA if any(c.passed is False for c in checks) else OK
