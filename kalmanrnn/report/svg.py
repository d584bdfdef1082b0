"""A figure as SVG text, with what a reader needs beside it."""

from __future__ import annotations

import io
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure


class ReportFigure(NamedTuple):
    """A figure with what a reader needs beside it."""

    title: str
    caption: str
    svg: str


def to_svg(figure: Figure, salt: str) -> str:
    """Return a figure as SVG; the same figure gives the same text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
