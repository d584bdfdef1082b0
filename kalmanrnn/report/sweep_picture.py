"""The picture of a sweep: error against width, seeds as points, their mean as a line."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.config import RunConfig
from kalmanrnn.report.curve import PALETTE
from kalmanrnn.report.style import STYLE, frame, grid, legend, logarithmic
from kalmanrnn.report.svg import Picture, svg
from kalmanrnn.report.sweep_words import Found
from kalmanrnn.report.words import group_label
from kalmanrnn.sweep.trend import Curve

# Lines are shifted by this share of the axis, so that points of equal error stay apart.
APART = 0.012


def pictures(found: Found) -> list[Picture]:
    """Draw what there is; nothing before the first run is over."""
    if not found.curves:
        return []
    title = f"Error against {found.x}"
    text = "Points: one run each. Line: their mean; shaded: one standard deviation between seeds."
    if isinstance(found.config, RunConfig):
        text += " 1 is the teacher's own error, dotted."
    if any(not np.isfinite(v) for c in found.curves for at in c.values for v in at):
        text += " A cross at the top: the run diverged or did not learn."
    with mpl.rc_context(STYLE):
        return [Picture(title, text, svg(draw(found), title))]


def draw(found: Found) -> Figure:
    """Draw a panel for each figure, a line for each setting of the other axes."""
    figures = list(dict.fromkeys(c.figure for c in found.curves))
    names = list(dict.fromkeys(c.line for c in found.curves))
    figure, axes = grid(len(figures), height=3.0)
    for ax, name in zip(axes, figures, strict=True):
        shown = [c for c in found.curves if c.figure == name]
        if isinstance(found.config, RunConfig):
            ax.axhline(1.0, color="#888888", lw=0.9, ls=":")
        scale(ax, shown)
        for curve in shown:
            at = names.index(curve.line)
            one(ax, curve, paint=PALETTE[at % len(PALETTE)], shift=at - (len(names) - 1) / 2)
        if len(figures) > 1:
            ax.set_title(group_label(name))
        y = found.what if len(figures) > 1 else f"{group_label(name)} {found.what}".strip()
        frame(ax, x=found.x.replace("_", " "), y=y)
    if len(names) > 1:
        legend(figure, axes)
    return figure


def one(ax: Axes, curve: Curve, *, paint: str, shift: float) -> None:
    """Draw one line with its seeds and their spread."""
    x = np.array(curve.x)
    low, high = ax.get_xlim()
    width = np.log(high / low) if ax.get_xscale() == "log" else high - low
    moved = shift * APART * width
    x = x * np.exp(moved) if ax.get_xscale() == "log" else x + moved
    finite = [np.array([v for v in at if np.isfinite(v)]) for at in curve.values]
    mean = np.array([v.mean() if v.size else np.nan for v in finite])
    spread = np.nan_to_num(curve.spread)
    ax.fill_between(x, mean - spread, mean + spread, color=paint, alpha=0.15, lw=0)
    ax.plot(x, mean, color=paint, lw=1.6, label=curve.line or None, zorder=3)
    for place, values, all_values in zip(x, finite, curve.values, strict=True):
        ax.plot([place] * len(values), values, "o", color=paint, ms=4, alpha=0.8, zorder=4)
        if len(values) < len(all_values):
            up = ax.get_xaxis_transform()
            ax.plot([place], [0.98], "x", color=paint, ms=7, mew=2, transform=up, clip_on=False)


def scale(ax: Axes, shown: list[Curve]) -> None:
    """Lay out both axes: widths double, so they are logarithmic, with the values on them."""
    x = np.array(sorted({v for c in shown for v in c.x}))
    if x[0] > 0 and x[-1] >= 4 * x[0]:
        ax.set_xscale("log")
        ax.set_xlim(x[0] / 1.25, x[-1] * 1.25)
    else:
        margin = 0.1 * (x[-1] - x[0]) or 1.0
        ax.set_xlim(x[0] - margin, x[-1] + margin)
    ax.set_xticks(x, [f"{v:g}" for v in x])
    ax.minorticks_off()
    y = np.array([v for c in shown for at in c.values for v in at if np.isfinite(v)])
    if y.size and y.min() > 0 and y.max() > 5 * y.min():
        logarithmic(ax, which="y", low=float(y.min()), high=float(y.max()))
