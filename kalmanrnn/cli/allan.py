"""`kalmanrnn allan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from kalmanrnn.cli.common import parse
from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.errors import OK, UsageError
from kalmanrnn.core.output_path import require_parent


@dataclass(frozen=True)
class AllanFlags:
    """Estimate an IMU's noise from a log at rest, as kalibr's imu.yaml."""

    log: tyro.conf.Positional[Path]
    """A bag, ULog, CSV file or folder, or drive file (.npz)."""
    out: Path | None = None
    """YAML file to write, with kalibr's keys."""
    plot: Path | None = None
    """Figure of the Allan deviations to write (.png, .svg, .pdf)."""
    topic: str | None = None
    """The IMU's topic, if the log has several."""
    from_s: float = 0.0
    """Start this long after the first reading [s]."""
    to_s: float | None = None
    """End this long after the first reading [s]; default: at the last."""
    gyro_unit: Literal["rad/s", "deg/s"] | None = None
    """Unit of the log's gyro; default: by its columns' names, else rad/s."""
    accel_unit: Literal["m/s^2", "g"] = "m/s^2"
    """Unit of the log's accelerometer."""


def allan(args: Sequence[str]) -> int:
    """Print an IMU's noise figures; write them and a plot if asked."""
    flags = parse(AllanFlags, args, prog="kalmanrnn allan")
    if flags.to_s is not None and flags.to_s <= flags.from_s:
        raise UsageError(
            f"--to-s {flags.to_s:g} is not after --from-s {flags.from_s:g}",
            why="both are seconds after the first reading",
            cure="kalmanrnn allan LOG --from-s 0 --to-s 3600",
        )
    from kalmanrnn.diagnostics.figure_file import check_figure

    if flags.plot is not None:
        check_figure(flags.plot)
    if flags.out is not None:
        require_parent(flags.out)
    from kalmanrnn.core.progress import ProgressBar
    from kalmanrnn.diagnostics.logs.imu_noise import (
        estimate_imu_noise,
        format_sim_argument,
        format_summary,
        format_yaml,
    )

    with ProgressBar(1) as meter:
        found = estimate_imu_noise(
            flags.log,
            topic=flags.topic,
            span=(flags.from_s, flags.to_s),
            gyro_unit=flags.gyro_unit,
            accel_unit=flags.accel_unit,
            progress=lambda done, total: meter.step(done, "read", f"of {total} messages"),
        )
    print("\n".join(format_summary(found)))
    if flags.out is not None:
        atomic_write(flags.out, format_yaml(found))
        print(f"\nwritten: {flags.out}")
    if flags.plot is not None:
        from kalmanrnn.diagnostics.logs.allan_figure import draw_allan

        draw_allan(found, flags.plot)
        print(f"figure: {flags.plot}")
    print(f"\nfor a sim file:\n{format_sim_argument(found)}")
    return OK
