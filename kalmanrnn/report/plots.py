"""The figures of a report as SVG: one colour per estimator, safe for the colour-blind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from kalmanrnn.evaluation.comparison import Comparison
from kalmanrnn.evaluation.metrics import StateGroup
from kalmanrnn.evaluation.summary import QUANTILES
from kalmanrnn.report.example_drives import drives
from kalmanrnn.report.innovations import innovations
from kalmanrnn.report.style import (
    STYLE,
    ReportFigure,
    colour,
    frame,
    grid,
    legend,
    line,
    logarithmic,
    to_svg,
)
from kalmanrnn.report.text import group_label, label, with_unit
from kalmanrnn.report.training_curve import training


def figures(comparison: Comparison, info: Mapping[str, Any]) -> list[ReportFigure]:
    """Draw every figure for which this comparison has data."""
    c = comparison
    teacher = label(c.teacher)
    truth = "reference" if info.get("reference_note") else "truth"
    count = "one drive" if c.drives == 1 else f"{c.drives} drives"
    with mpl.rc_context(STYLE):
        made = [("Single drives", _drives_caption(c), drives(c, truth=truth))]
        if c.has_truth:
            text = (
                f"Root mean square over {count}. Shaded: three standard deviations by the "
                f"{teacher}'s own covariance. Grey: excluded from the tables. Lines that leave "
                "the top are too large to show."
            )
            made.append(("Error over time", text, over_time(c)))
            text = (
                "Share of events with an error below the one on the axis; further left is better."
            )
            made.append(("Error distribution", text, distribution(c)))
        if c.innovations is not None:
            text = (
                "Reading minus its prediction. Shaded: three standard deviations by the "
                f"{teacher}'s own covariance."
            )
            made.append(("Innovations over time", text, innovations(c)))
        if any(o.nees is not None for o in c.metrics.values()):
            text = "Mean over drives at each event, with the 95 % chi-square band about 1."
            student = c.metrics[c.student]
            if student.nees is None:
                text += f" The {label(c.student)} has no covariance, so it has no line here."
            made.append(("NEES of the filters", text, nees(c)))
        if info.get("history"):
            text = "Training loss, and metrics on the validation set."
            made.append(("Training", text, training(info["history"])))
        return [ReportFigure(title, text, to_svg(figure, title)) for title, text, figure in made]


def _drives_caption(c: Comparison) -> str:
    scored = "error" if c.has_truth else f"difference from the {label(c.teacher)}"
    block = group_label(c.example_block)
    chosen = f"Chosen by the student's {scored} in {block}; the number is its RMS."
    return "The number is the RMS error." if c.drives == 1 and c.has_truth else chosen


def over_time(c: Comparison) -> Figure:
    """Draw RMS error over time by group, with the teacher's own 3-sigma band."""
    groups = _shown(c)
    figure, axes = grid(len(groups), height=2.5)
    for ax, g in zip(axes, groups, strict=True):
        sigma = c.metrics[c.teacher].sigma.get(g.name)
        if sigma is not None:
            ax.fill_between(
                c.t, 0, 3 * sigma, color=colour(c.teacher), alpha=0.13, lw=0,
                label=f"{label(c.teacher)}'s 3 sigma",
            )  # fmt: skip
        for name, o in c.metrics.items():
            if g.name in o.over_time:
                line(ax, c.t, o.over_time[g.name], name)
        if c.skip_s > 0:
            ax.axvspan(0, c.skip_s, color="0.5", alpha=0.12, lw=0)
        ax.set_ylim(0, _ceiling(c, g, sigma))
        ax.set_xlim(c.t[0], c.t[-1])
        frame(ax, x="time [s]", y=with_unit(g))
    legend(figure, axes)
    return figure


def _ceiling(c: Comparison, g: StateGroup, sigma: np.ndarray | None) -> float:
    """Return the top of an axis that fits every estimator but dead reckoning."""
    evaluated = c.t >= c.skip_s
    curves = [
        o.over_time[g.name][evaluated]
        for name, o in c.metrics.items()
        if name != "dead_reckoning" and g.name in o.over_time
    ]
    curves += [] if sigma is None else [3 * sigma[evaluated]]
    values = np.concatenate(curves) if curves else np.zeros(0)
    values = values[np.isfinite(values)]
    return 1.1 * float(values.max()) if values.size and values.max() > 0 else 1.0


def distribution(c: Comparison) -> Figure:
    """Draw the cumulative distribution of the error by group."""
    groups = _shown(c)
    figure, axes = grid(len(groups), height=2.5)
    for ax, g in zip(axes, groups, strict=True):
        for name, o in c.metrics.items():
            if g.name in o.quantiles:
                x = o.quantiles[g.name]
                good = np.isfinite(x) & (x > 0)
                line(ax, x[good], QUANTILES[good], name)
        low, high = _span(c, g)
        logarithmic(ax, which="x", low=low, high=high)
        ax.set_ylim(0, 1)
        frame(ax, x=with_unit(g), y="share of events")
    legend(figure, axes)
    return figure


def _span(c: Comparison, g: StateGroup) -> tuple[float, float]:
    """Return the smallest and largest positive finite error in a group."""
    x = np.concatenate([o.quantiles[g.name] for o in c.metrics.values() if g.name in o.quantiles])
    x = x[np.isfinite(x) & (x > 0)]
    return (float(x.min()), float(x.max())) if x.size else (0.1, 1.0)


def nees(c: Comparison) -> Figure:
    """Draw NEES per dimension over time with its chi-square band."""
    figure, (ax,) = grid(1, height=3.0)
    ax.axhspan(*c.nees_band, color="0.5", alpha=0.2, lw=0, label="95 % band")
    tops = [2.0]
    for name, o in c.metrics.items():
        if o.nees is not None:
            line(ax, c.t, o.nees, name)
            finite = o.nees[np.isfinite(o.nees)]
            tops += [1.1 * float(np.quantile(finite, 0.99))] if finite.size else []
    ax.set_ylim(0, max(tops))
    ax.set_xlim(c.t[0], c.t[-1])
    frame(ax, x="time [s]", y="NEES per dimension")
    legend(figure, [ax])
    return figure


def _shown(c: Comparison) -> list[StateGroup]:
    return [g for g in c.groups if any(g.name in o.errors for o in c.metrics.values())]
