"""The figure of single drives: the best, the median and the worst, from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.evaluation.comparison import Comparison, ExampleDrive
from kalmanrnn.evaluation.metrics import StateGroup
from kalmanrnn.report.style import WIDTH_IN, colour, frame, line, roomy
from kalmanrnn.report.text import number, unit, with_unit

# Within metres of each other on hundreds of metres: nested, or the last one hides the others.
WIDTHS = {"truth": 2.6, "student": 1.0}
ZOOM = 8.0


def drives(c: Comparison, *, truth: str = "truth") -> Figure:
    """Draw each picked drive: the whole, a close look where the student errs most, its error.

    truth: what to call it; on a log it is only a reference.
    """
    group = next(g for g in c.groups if g.name == c.example_block)
    plan = c.examples[0].readings is not None and c.examples[0].estimates[c.teacher].shape[1] > 1
    figure, columns = _panels(len(c.examples), plan=plan, errors=c.has_truth)
    for column, path in zip(columns, c.examples, strict=True):
        what = "the drive" if len(c.examples) == 1 else f"{path.rank}: drive {path.drive}"
        column[0].set_title(f"{what}, {number(path.score)} {unit(group)}")
        if plan:
            _plans(column[0], column[1], c, path, group)
        else:
            _components(column[0], c, path, group)
        if c.has_truth:
            _errors(column[-1], c, path, group)
    if c.has_truth:
        top = max(column[-1].get_ylim()[1] for column in columns)
        for column in columns:
            column[-1].set_ylim(0, top)
    found = dict(zip(*reversed(columns[0][0].get_legend_handles_labels()), strict=True))
    found = {truth if name == "truth" else name: handle for name, handle in found.items()}
    figure.legend(list(found.values()), list(found), loc="outside upper left", ncols=6)
    return figure


def _panels(count: int, *, plan: bool, errors: bool) -> tuple[Figure, list[list[Axes]]]:
    """Lay out one column per drive; a drive alone has its close look beside it."""
    heights = ([3.0, 3.0] if plan else [3.0]) + ([1.9] if errors else [])
    rows: Any = [[f"{row} {column}" for column in range(count)] for row in range(len(heights))]
    if count == 1 and plan:
        heights, rows = heights[1:], [["0 0", "1 0"], ["2 0", "2 0"]][: len(heights) - 1]
    figure = Figure(figsize=(WIDTH_IN, sum(heights) + 0.5))
    roomy(figure)
    axes = figure.subplot_mosaic(rows, height_ratios=heights)
    panels = 2 * plan + (not plan) + errors
    return figure, [[axes[f"{row} {column}"] for row in range(panels)] for column in range(count)]


def _plans(whole: Axes, close: Axes, c: Comparison, path: ExampleDrive, group: StateGroup) -> None:
    """Draw a drive from above, metres from where it starts; then a part of it, larger."""
    way = path.estimates[c.teacher] if path.truth is None else path.truth
    start = way[np.isfinite(way).all(axis=1)][0]
    for ax in (whole, close):
        if path.readings is not None:
            dots = (path.readings - start).T
            size = 2.5 if ax is whole else 5.0
            ax.plot(*dots[:2], ".", color=colour("gps"), ms=size, alpha=0.7, label="GPS readings")
        for name, x in _shown(c, path).items():
            east, north = (x - start).T[:2]
            line(ax, east, north, name, lw=WIDTHS.get(name, 1.6))
        frame(ax, x=f"east [{unit(group)}]", y=f"north [{unit(group)}]")
    whole.plot(0, 0, "o", color="#000000", ms=5, mfc="white", zorder=6, label="start")
    whole.set_aspect("equal", adjustable="datalim")
    apart = np.linalg.norm(path.estimates[c.student] - way, axis=1)
    apart = np.where(np.isfinite(apart) & (path.t >= c.skip_s), apart, -1.0)
    x, y = (way - start)[np.argmax(apart), :2]
    largest = max(float(apart.max()), 1e-3)
    half = max(2 * largest, min(ZOOM * largest, float(np.nanmax(np.ptp(way[:, :2], axis=0))) / 4))
    close.set(xlim=(x - half, x + half), ylim=(y - half, y + half))
    close.set_box_aspect(1)
    close.set_title(f"at {path.t[np.argmax(apart)]:.0f} s, where the student errs most", fontsize=9)


def _components(ax: Axes, c: Comparison, path: ExampleDrive, group: StateGroup) -> None:
    """Draw the block's components over time, where there is no plan to look down on."""
    for name, x in _shown(c, path).items():
        for i, component in enumerate(x.T):
            more = {} if i == 0 else {"label": None}
            line(ax, path.t, component * group.factor, name, lw=WIDTHS.get(name, 1.6), **more)
    frame(ax, x="time [s]", y=with_unit(group))


def _shown(c: Comparison, path: ExampleDrive) -> dict[str, np.ndarray]:
    """Return the truth to draw first, then the teacher, then the student."""
    tracks = {} if path.truth is None else {"truth": path.truth}
    return tracks | {name: path.estimates[name] for name in (c.teacher, c.student)}


def _errors(ax: Axes, c: Comparison, path: ExampleDrive, group: StateGroup) -> None:
    if path.truth is None:
        return
    for name in (c.teacher, c.student):
        size = np.linalg.norm(path.estimates[name] - path.truth, axis=1) * group.factor
        line(ax, path.t, size, name, lw=1.2)
    frame(ax, x="time [s]", y=f"error [{unit(group)}]" if group.unit else "error")
