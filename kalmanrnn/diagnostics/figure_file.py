"""Figures as files: the formats, the axes' colours, and never half a file."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from kalmanrnn.core.atomic_write import atomic_path
from kalmanrnn.core.output_path import require_suffix

SUFFIXES = (".png", ".svg", ".pdf")
# One colour per axis x, y, z, distinct for the colour-blind (Okabe and Ito 2008).
AXES = ("#D55E00", "#009E73", "#0072B2")


def check_figure(path: Path) -> None:
    """Refuse a path that no figure can be written to, before any work is done for it."""
    require_suffix(path, SUFFIXES, kind="figures", flag="--plot")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of its suffix, whole or not at all."""
    with atomic_path(path) as part, mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(part, format=path.suffix[1:], dpi=120)
