"""`kalmanrnn predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from kalmanrnn.cli.common import Device, choose_device, parse
from kalmanrnn.core.errors import OK
from kalmanrnn.core.output_path import refuse_existing
from kalmanrnn.training.run_directory import open_run


@dataclass(frozen=True)
class PredictFlags:
    """Run a trained student, or the filter it replaces, over a log and write its estimates."""

    run: tyro.conf.Positional[Path]
    """Folder of a trained run, such as runs/latest."""
    log: tyro.conf.Positional[Path]
    """A drive file, bag, ULog or CSV folder."""
    out: Path
    """est.csv (every state), est.tum (reads in evo) or est.mcap (opens in Foxglove)."""
    map: Path | None = None
    """YAML that says what the log's topics and columns mean; guessed if not given."""
    sim: str | None = None
    """Another sim than the run's own, with the same state and sensors."""
    estimator: Literal["student", "ukf", "ekf"] = "student"
    """Whose estimates."""
    device: Device = "auto"
    """Where JAX runs."""
    quiet: bool = False
    """No notes on stderr."""


def predict(args: Sequence[str]) -> int:
    """Write an estimator's answer to a log."""
    flags = parse(PredictFlags, args, prog="kalmanrnn predict")
    another = f"kalmanrnn predict {flags.run} {flags.log} --out ANOTHER{flags.out.suffix}"
    refuse_existing(flags.out, kind="estimates", cure=another)
    choose_device(flags.device)
    from kalmanrnn.experiments.on_logs import open_log_run, write_predictions
    from kalmanrnn.experiments.on_logs import run_estimator as run_over
    from kalmanrnn.logs.writers.estimates import check_suffix

    check_suffix(flags.out)
    one = open_log_run(open_run(flags.run), flags.log, flags.map, flags.sim)
    if not flags.quiet:
        for note in one.log.notes:
            print(f"note: {note}", file=sys.stderr)
    count = write_predictions(one, run_over(one, flags.estimator), flags.out)
    seconds = one.log.drive.seconds
    print(f"{flags.out}: {count} estimates of the {flags.estimator} over {seconds:.1f} s")
    return OK
