"""`kalmanrnn import`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from kalmanrnn.cli.common import parse
from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.errors import OK
from kalmanrnn.core.output_path import refuse_existing, require_suffix

if TYPE_CHECKING:
    from kalmanrnn.logs.recording.recording import Recording, Stream


@dataclass(frozen=True)
class ImportFlags:
    """Convert a log to a drive file: SI units, our axes, one clock; list what was done."""

    log: tyro.conf.Positional[Path]
    """A ROS 1 or ROS 2 bag, an .mcap, a PX4 .ulg, a .csv file or a folder of them."""
    out: Path
    """Drive file to write, such as drive.npz; its map is written beside it."""
    map: Path | None = None
    """YAML that maps the log's topics and columns; default: guessed."""
    quiet: bool = False
    """Show no progress on stderr."""


def import_(args: Sequence[str]) -> int:
    """Write a log's drive file, and its map."""
    flags = parse(ImportFlags, args, prog="kalmanrnn import")
    beside = flags.out.with_suffix(".map.yaml")
    _check_out(flags, beside)
    from kalmanrnn.core.progress import ProgressBar
    from kalmanrnn.logs.importer import import_log

    with ProgressBar(0, what="import", quiet=flags.quiet) as meter:
        recording = import_log(flags.log, flags.map, progress=meter.count)
    _write(recording, flags, beside)
    for note in recording.notes:
        print(f"note: {note}")
    print("\n".join(["", *table(recording), ""]))
    print(f"drive: {flags.out}\nmap:   {beside if beside.exists() else flags.out}")
    print(f"next:  kalmanrnn eval runs/latest --log {flags.out}")
    return OK


def table(recording: Recording) -> list[str]:
    """List a recording's streams: readings, rate, span, channels."""
    from kalmanrnn.diagnostics.logs.summary import align

    rows = [("stream", "readings", "rate", "from", "to", "channels")]
    rows += [_row(stream.name, stream) for stream in recording.streams]
    if recording.reference is not None:
        rows.append(_row("reference", recording.reference))
    return align(rows, left=(0, 5))


def _row(name: str, stream: Stream) -> tuple[str, ...]:
    span = float(stream.t[-1] - stream.t[0])
    rate = f"{(len(stream.t) - 1) / span:.1f} Hz" if span > 0 else "-"
    units = dict.fromkeys(stream.units)
    channels = "; ".join(
        ", ".join(c for c, u in zip(stream.channels, stream.units, strict=True) if u == unit)
        + (f" [{unit}]" if unit else "")
        for unit in units
    )
    times = (f"{stream.t[0]:.2f} s", f"{stream.t[-1]:.2f} s")
    return name, str(len(stream.t)), rate, *times, channels


def _check_out(flags: ImportFlags, beside: Path) -> None:
    """Refuse to overwrite anything, or to write anything but an .npz."""
    command = f"kalmanrnn import {flags.log} --out"
    require_suffix(flags.out, (".npz",), kind="drive files", flag=command)
    # The map that is read may lie where it would be written.
    read = flags.map and flags.map.exists() and beside.exists() and beside.samefile(flags.map)
    for path in [flags.out, *([] if read else [beside])]:
        refuse_existing(path, kind="drive files and maps", cure=f"{command} ANOTHER.npz")


def _write(recording: Recording, flags: ImportFlags, beside: Path) -> None:
    """Write the map, then the drive; if that fails, remove the map too."""
    from kalmanrnn.logs.recording.recording import save_recording

    new = bool(recording.map) and not beside.exists()
    if new:
        atomic_write(beside, recording.map)
    try:
        save_recording(flags.out, recording)
    except BaseException:
        if new:
            beside.unlink(missing_ok=True)
        raise
