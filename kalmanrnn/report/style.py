"""How figures look: colours (Okabe and Ito 2008), lines, panels; and their SVG text."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kalmanrnn.report.text import label

COLOURS = {
    "truth": "#000000",
    "gps": "#E69F00",
    "dead_reckoning": "#CC79A7",
    "ekf": "#009E73",
    "ukf": "#0072B2",
    "student": "#D55E00",
}
OTHER = "#56B4E9"
# Dashes too, for pages printed in grey.
DASHES = {"ekf": (0, (5, 2)), "gps": (0, (1, 1.5)), "dead_reckoning": (0, (4, 1.5, 1, 1.5))}
WIDTH_IN = 9.6
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "path.simplify_threshold": 0.3,
}


class ReportFigure(NamedTuple):
    """A figure with its title and caption."""

    title: str
    caption: str
    svg: str


def to_svg(figure: Figure, salt: str) -> str:
    """Return a figure as SVG; the same figure always gives the same text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def colour(name: str) -> str:
    """Return an estimator's colour, the same in every figure and table."""
    return COLOURS.get(name, OTHER)


def line(ax: Axes, x: np.ndarray, y: np.ndarray, name: str, **options: Any) -> None:
    """Draw an estimator's line in its own colour and dashes."""
    style = {
        "color": colour(name),
        "ls": DASHES.get(name, "-"),
        "lw": 1.8 if name == "student" else 1.3,
        "label": label(name),
        "zorder": 4 if name == "student" else 3,
    }
    ax.plot(x, np.where(np.isfinite(y), y, np.nan), **(style | options))


def grid(count: int, *, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels, each `height` inches, and the panels."""
    columns = count if count < 3 else 2 if count == 4 else 3
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH_IN, height * rows + 0.4), layout="constrained")
    roomy(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count]


def roomy(figure: Figure) -> None:
    """Keep panels apart, so that labels do not touch the next panel."""
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)


def frame(ax: Axes, *, x: str, y: str) -> None:
    """Label both axes."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def logarithmic(ax: Axes, *, which: str, low: float, high: float) -> None:
    """Make the "x" or "y" axis logarithmic with plain numbers: 0.1, 1, 10."""
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    axis = ax.xaxis if which == "x" else ax.yaxis
    subs = (1.0, 2.0, 5.0) if high < 40 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: list[Axes]) -> None:
    """Put one legend above all panels, with an entry for everything they show."""
    found = {}
    for ax in axes:
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(text, handle)
    figure.legend(
        list(found.values()), list(found), loc="outside upper left", ncols=min(len(found), 7)
    )
