"""`kalmanrnn eval`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from kalmanrnn.cli.common import Device, choose_device, parse, print_report
from kalmanrnn.core.errors import OK, UsageError
from kalmanrnn.core.output_path import refuse_existing
from kalmanrnn.training.run_directory import open_run


@dataclass(frozen=True)
class EvalFlags:
    """Evaluate a trained run on fresh simulated drives, or on logs with --log."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run, such as runs/latest."""
    log: tuple[Path, ...] = ()
    """Logs to evaluate on instead of simulated drives: drive files, bags, ULogs, CSV folders."""
    map: Path | None = None
    """YAML that says what the log's topics and columns mean; guessed if not given."""
    sim: str | None = None
    """Another sim to evaluate on; default: the run's own."""
    drives: int | None = None
    """Simulated drives; default: as many as in training's report."""
    seconds: float | None = None
    """Length of each simulated drive [s]; default: as in training."""
    seed: int | None = None
    """Seed of the simulated drives; default: the run's own."""
    outage_s: tuple[float, ...] = (5.0, 10.0, 30.0)
    """Lengths of the outages tried on a log [s]."""
    outage_at: tuple[float, ...] = ()
    """When outages start, in seconds after the first event; default: at each quarter."""
    skip_s: float | None = None
    """Burn-in excluded from metrics [s]; default: 5 for a log, else as in training."""
    out: Path | None = None
    """Folder of the report; default: a new one inside the run."""
    device: Device = "auto"
    """Where JAX runs."""
    json: bool = False
    """Print report.json on stdout instead of the tables."""


def evaluate(args: Sequence[str]) -> int:
    """Evaluate a trained run."""
    flags = parse(EvalFlags, args, prog="kalmanrnn eval")
    if flags.map is not None and not flags.log:
        raise UsageError(
            "--map without --log",
            why="a map says what a log's columns mean",
            cure="kalmanrnn eval RUN --log DIR --map DIR/map.yaml",
        )
    choose_device(flags.device)
    folder = open_run(flags.run)
    out = flags.out or folder.path / f"eval-{time.strftime('%Y%m%d-%H%M%S')}"
    refuse_existing(out, kind="reports", cure=f"kalmanrnn eval {flags.run} --out ANOTHER")
    line = " ".join(["kalmanrnn", "eval", *args])
    if folder.is_task:
        from kalmanrnn.tasks.run import evaluate_task

        evaluate_task(folder, out, line, seed=flags.seed, count=flags.drives)
        print_report(out, as_json=flags.json)
        return OK
    if not flags.log:
        from kalmanrnn.experiments.evaluate_run import evaluate_simulated

        evaluate_simulated(
            folder,
            out,
            line,
            sim=flags.sim,
            seed=flags.seed,
            test=flags.drives,
            seconds=flags.seconds,
            skip_s=flags.skip_s,
        )
        print_report(out, as_json=flags.json)
        return OK
    from kalmanrnn.experiments.on_logs import LogTest, evaluate_logs

    trial = LogTest(flags.outage_at, flags.outage_s, flags.skip_s)
    for place in evaluate_logs(folder, flags.log, flags.map, flags.sim, trial, out, line):
        print_report(place, as_json=flags.json)
    return OK
