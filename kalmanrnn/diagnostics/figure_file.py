"""Where pictures are written: the formats, and never half a file."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from kalmanrnn.core.errors import USAGE, UserError

SUFFIXES = (".png", ".svg", ".pdf")
# One colour per axis x, y, z, told apart by the colour-blind (Okabe and Ito 2008).
AXES = ("#D55E00", "#009E73", "#0072B2")


def check_picture(path: Path) -> None:
    """Refuse a path that names no picture, before any work is done for it."""
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{path} has a suffix that names no picture",
            why=f"pictures are written as {', '.join(SUFFIXES)}",
            cure=f"--plot {path.with_suffix('.png')}",
            code=USAGE,
        )
    check_folder(path)


def check_folder(path: Path) -> None:
    """Refuse a path in a folder that is not there."""
    if not path.parent.is_dir():
        raise UserError(
            f"cannot write {path}",
            why=f"there is no folder {path.parent}",
            cure=f"mkdir -p {path.parent}",
            code=USAGE,
        )


def save(figure: Figure, path: Path) -> None:
    """Write a figure in its path's format, beside its place and renamed."""
    part = path.with_name(f"{path.name}.part")
    try:
        with mpl.rc_context({"svg.fonttype": "none"}):
            figure.savefig(part, format=path.suffix[1:], dpi=120)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
