"""The figure of single drives: the best, the median and the worst, seen from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.evaluation.comparison import Comparison, ExampleDrive
from kalmanrnn.evaluation.metrics import StateGroup
from kalmanrnn.report.style import WIDTH_IN, colour, frame, line, roomy
from kalmanrnn.report.text import number, unit, with_unit

# Nested lines: metres error on hundreds of metres, the last one would hide the others.
WIDTHS = {"truth": 2.6, "student": 1.0}
ZOOM = 8.0


def drives(c: Comparison, *, truth: str = "truth") -> Figure:
    """Draw each example: the drive, a close-up at the student's largest error, and the error.

    truth: its label; on a log it is only a reference.
    """
    group = next(g for g in c.groups if g.name == c.example_block)
    plan = c.examples[0].readings is not None and c.examples[0].estimates[c.teacher].shape[1] > 1
    figure, columns = _panels(len(c.examples), plan=plan, errors=c.has_truth)
    for column, example in zip(columns, c.examples, strict=True):
        what = "the drive" if len(c.examples) == 1 else f"{example.rank}: drive {example.drive}"
        column[0].set_title(f"{what}, {number(example.score)} {unit(group)}")
        if plan:
            _plans(column[0], column[1], c, example, group)
        else:
            _components(column[0], c, example, group)
        if c.has_truth:
            _errors(column[-1], c, example, group)
    if c.has_truth:
        top = max(column[-1].get_ylim()[1] for column in columns)
        for column in columns:
            column[-1].set_ylim(0, top)
    found = dict(zip(*reversed(columns[0][0].get_legend_handles_labels()), strict=True))
    found = {truth if name == "truth" else name: handle for name, handle in found.items()}
    figure.legend(list(found.values()), list(found), loc="outside upper left", ncols=6)
    return figure


def _panels(count: int, *, plan: bool, errors: bool) -> tuple[Figure, list[list[Axes]]]:
    """Lay out one column per drive; a single drive has its close-up beside it."""
    heights = ([3.0, 3.0] if plan else [3.0]) + ([1.9] if errors else [])
    rows: Any = [[f"{row} {column}" for column in range(count)] for row in range(len(heights))]
    if count == 1 and plan:
        heights, rows = heights[1:], [["0 0", "1 0"], ["2 0", "2 0"]][: len(heights) - 1]
    figure = Figure(figsize=(WIDTH_IN, sum(heights) + 0.5))
    roomy(figure)
    axes = figure.subplot_mosaic(rows, height_ratios=heights)
    panels = 2 * plan + (not plan) + errors
    return figure, [[axes[f"{row} {column}"] for row in range(panels)] for column in range(count)]


def _plans(
    full: Axes, close: Axes, c: Comparison, example: ExampleDrive, group: StateGroup
) -> None:
    """Draw a drive from above, in metres from its start; then a part of it, enlarged."""
    route = example.estimates[c.teacher] if example.truth is None else example.truth
    start = route[np.isfinite(route).all(axis=1)][0]
    for ax in (full, close):
        if example.readings is not None:
            dots = (example.readings - start).T
            size = 2.5 if ax is full else 5.0
            ax.plot(*dots[:2], ".", color=colour("gps"), ms=size, alpha=0.7, label="GPS readings")
        for name, x in _shown(c, example).items():
            east, north = (x - start).T[:2]
            line(ax, east, north, name, lw=WIDTHS.get(name, 1.6))
        frame(ax, x=f"east [{unit(group)}]", y=f"north [{unit(group)}]")
    full.plot(0, 0, "o", color="#000000", ms=5, mfc="white", zorder=6, label="start")
    full.set_aspect("equal", adjustable="datalim")
    error = np.linalg.norm(example.estimates[c.student] - route, axis=1)
    error = np.where(np.isfinite(error) & (example.t >= c.skip_s), error, -1.0)
    x, y = (route - start)[np.argmax(error), :2]
    largest = max(float(error.max()), 1e-3)
    half = max(2 * largest, min(ZOOM * largest, float(np.nanmax(np.ptp(route[:, :2], axis=0))) / 4))
    close.set(xlim=(x - half, x + half), ylim=(y - half, y + half))
    close.set_box_aspect(1)
    close.set_title(
        f"at {example.t[np.argmax(error)]:.0f} s, the student's largest error", fontsize=9
    )


def _components(ax: Axes, c: Comparison, example: ExampleDrive, group: StateGroup) -> None:
    """Draw the block's components over time, where there is no plan view."""
    for name, x in _shown(c, example).items():
        for i, component in enumerate(x.T):
            more = {} if i == 0 else {"label": None}
            line(ax, example.t, component * group.factor, name, lw=WIDTHS.get(name, 1.6), **more)
    frame(ax, x="time [s]", y=with_unit(group))


def _shown(c: Comparison, example: ExampleDrive) -> dict[str, np.ndarray]:
    """Return truth, teacher and student, in drawing order."""
    lines = {} if example.truth is None else {"truth": example.truth}
    return lines | {name: example.estimates[name] for name in (c.teacher, c.student)}


def _errors(ax: Axes, c: Comparison, example: ExampleDrive, group: StateGroup) -> None:
    if example.truth is None:
        return
    for name in (c.teacher, c.student):
        size = np.linalg.norm(example.estimates[name] - example.truth, axis=1) * group.factor
        line(ax, example.t, size, name, lw=1.2)
    frame(ax, x="time [s]", y=f"error [{unit(group)}]" if group.unit else "error")
