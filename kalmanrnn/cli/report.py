"""`kalmanrnn report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from kalmanrnn.cli.common import parse, print_report
from kalmanrnn.core.errors import OK, UserError
from kalmanrnn.training.run_directory import open_run


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
    print_report(place, as_json=flags.json)
    return OK
