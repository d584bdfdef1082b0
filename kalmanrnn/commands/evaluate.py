"""`kalmanrnn eval`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from kalmanrnn.commands.common import Device, choose_device, parse, show
from kalmanrnn.errors import OK, USAGE, UserError
from kalmanrnn.runfolder import open_run


@dataclass(frozen=True)
class EvalFlags:
    """Judge a trained run again: on fresh simulated drives, or on a log with --log and --map."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run, such as runs/latest."""
    log: Path | None = None
    """Folder of CSV files to judge on instead of simulated drives."""
    map: Path | None = None
    """YAML that says which files and columns of the log mean what."""
    sim: str | None = None
    """Another sim to judge on; the run's own if not given."""
    drives: int | None = None
    """Simulated drives; as many as in training's report if not given."""
    seconds: float | None = None
    """Length of each simulated drive [s]; as in training if not given."""
    seed: int | None = None
    """Seed of the simulated drives; the run's own if not given."""
    outage_s: float = 10.0
    """Length of the GPS outages tried on a log [s]."""
    outage_at: tuple[float, ...] = (15.0, 35.0)
    """When they begin, in seconds after the log's first event."""
    skip_s: float | None = None
    """Start of each drive that no figure counts [s]; 5 for a log, as in training else."""
    out: Path | None = None
    """Folder of the report; a new one inside the run if not given."""
    device: Device = "auto"
    """Where JAX runs."""
    json: bool = False
    """Print report.json on stdout instead of the tables."""


def evaluate(args: Sequence[str]) -> int:
    """Judge a trained run again."""
    flags = parse(EvalFlags, args, prog="kalmanrnn eval")
    if (flags.log is None) != (flags.map is None):
        raise UserError(
            "--log and --map go together",
            why="a folder of CSV files means nothing without the map that names its columns",
            cure="kalmanrnn eval RUN --log DIR --map DIR/map.yaml",
            code=USAGE,
        )
    choose_device(flags.device)
    from kalmanrnn.job import evaluate_log, evaluate_simulated

    folder = open_run(flags.run)
    out = flags.out or folder.path / f"eval-{time.strftime('%Y%m%d-%H%M%S')}"
    if out.exists():
        raise UserError(
            f"{out} exists already",
            why="a report never writes over another",
            cure=f"kalmanrnn eval {flags.run} --out ANOTHER",
            code=USAGE,
        )
    line = " ".join(["kalmanrnn", "eval", *args])
    run = evaluate_simulated if flags.log is None else evaluate_log
    show(run(folder, flags, out, line), out, as_json=flags.json)
    return OK
