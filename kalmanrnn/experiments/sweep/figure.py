"""The figure of a sweep: error against width, seeds as points, their mean as a line."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.core.config import RunConfig
from kalmanrnn.experiments.sweep.text import SweepResult, is_categorical, subject
from kalmanrnn.experiments.sweep.trend import Curve
from kalmanrnn.report.style import STYLE, ReportFigure, frame, grid, legend, logarithmic, to_svg
from kalmanrnn.report.text import group_label
from kalmanrnn.report.training_curve import PALETTE

# Shift lines by this share of the axis, so that points of equal error stay apart.
LINE_SHIFT = 0.012


def sweep_figures(found: SweepResult) -> list[ReportFigure]:
    """Draw the figure; none before the first run is finished."""
    if not found.curves:
        return []
    title = f"Error {subject(found)}"
    mark = "Bar" if is_categorical(found) else "Line"
    text = (
        f"Points: one run each. {mark}: their mean; shaded: one standard deviation between seeds."
    )
    if isinstance(found.config, RunConfig):
        text += " Dotted at 1: the teacher's error."
    if any(not np.isfinite(v) for c in found.curves for at in c.values for v in at):
        text += " Cross at the top: the run diverged or did not learn."
    with mpl.rc_context(STYLE):
        return [ReportFigure(title, text, to_svg(draw(found), title))]


def draw(found: SweepResult) -> Figure:
    """Draw a panel for each metric, a line for each setting of the other axes."""
    figures = list(dict.fromkeys(c.metric for c in found.curves))
    names = list(dict.fromkeys(c.line for c in found.curves))
    figure, axes = grid(len(figures), height=3.0)
    for ax, name in zip(axes, figures, strict=True):
        shown = [c for c in found.curves if c.metric == name]
        if isinstance(found.config, RunConfig):
            ax.axhline(1.0, color="#888888", lw=0.9, ls=":")
        if is_categorical(found):
            draw_categorical(ax, shown)
        else:
            draw_numeric(ax, shown, names)
        if len(figures) > 1:
            ax.set_title(group_label(name))
        y = found.unit if len(figures) > 1 else f"{group_label(name)} {found.unit}".strip()
        frame(ax, x="" if is_categorical(found) else found.axis.replace("_", " "), y=y)
    if len(names) > 1 and not is_categorical(found):
        legend(figure, axes)
    return figure


def draw_numeric(ax: Axes, shown: list[Curve], names: list[str]) -> None:
    """Draw metrics along an axis of numbers, a line for each setting of the others."""
    set_axes(ax, shown)
    for curve in shown:
        at = names.index(curve.line)
        draw_curve(ax, curve, paint=PALETTE[at % len(PALETTE)], shift=at - (len(names) - 1) / 2)


def draw_categorical(ax: Axes, shown: list[Curve]) -> None:
    """Draw metrics by name: a place on the axis for each, its seeds, a bar at their mean."""
    for place, curve in enumerate(shown):
        paint = PALETTE[place % len(PALETTE)]
        values = np.array(curve.values[0])
        finite = values[np.isfinite(values)]
        draw_seeds(ax, place, values, paint)
        if finite.size:
            mean, spread = finite.mean(), np.nan_to_num(curve.std[0])
            ax.plot([place - 0.25, place + 0.25], [mean, mean], color=paint, lw=1.6, zorder=3)
            ax.fill_between(
                [place - 0.25, place + 0.25], mean - spread, mean + spread, color=paint, alpha=0.15
            )
    ax.set_xlim(-0.6, len(shown) - 0.4)
    ax.set_xticks(range(len(shown)), [curve.line for curve in shown])


def draw_curve(ax: Axes, curve: Curve, *, paint: str, shift: float) -> None:
    """Draw one line with its seeds and their spread."""
    x = np.array(curve.x)
    low, high = ax.get_xlim()
    width = np.log(high / low) if ax.get_xscale() == "log" else high - low
    moved = shift * LINE_SHIFT * width
    x = x * np.exp(moved) if ax.get_xscale() == "log" else x + moved
    finite = [np.array([v for v in at if np.isfinite(v)]) for at in curve.values]
    mean = np.array([v.mean() if v.size else np.nan for v in finite])
    spread = np.nan_to_num(curve.std)
    ax.fill_between(x, mean - spread, mean + spread, color=paint, alpha=0.15, lw=0)
    ax.plot(x, mean, color=paint, lw=1.6, label=curve.line or None, zorder=3)
    for place, values in zip(x, curve.values, strict=True):
        draw_seeds(ax, place, np.array(values), paint)


def draw_seeds(ax: Axes, place: float, values: np.ndarray, paint: str) -> None:
    """Draw the runs of one point, and a cross at the top if one diverged."""
    finite = values[np.isfinite(values)]
    ax.plot([place] * len(finite), finite, "o", color=paint, ms=4, alpha=0.8, zorder=4)
    if len(finite) < len(values):
        up = ax.get_xaxis_transform()
        ax.plot([place], [0.98], "x", color=paint, ms=7, mew=2, transform=up, clip_on=False)


def set_axes(ax: Axes, shown: list[Curve]) -> None:
    """Scale both axes; widths are on a logarithmic axis with their values as ticks."""
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
