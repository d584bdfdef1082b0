"""The figure of innovations over time, a panel per measurement."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from kalmanrnn.evaluation.comparison import Comparison
from kalmanrnn.report.style import colour, frame, grid, legend
from kalmanrnn.report.text import label

MAX_PANELS = 6


def innovations(c: Comparison) -> Figure:
    """Draw teacher's and student's innovations, with the teacher's own 3-sigma band."""
    found = c.innovations
    assert found is not None
    seen = [
        z for z in range(len(found.channels)) if np.isfinite(found.value[c.teacher][:, z]).any()
    ]
    figure, axes = grid(min(len(seen), MAX_PANELS), height=2.5)
    for ax, z in zip(axes, seen, strict=False):
        band = found.sigma.get(c.teacher)
        if band is not None:
            known = np.isfinite(band[:, z])
            edge = 3 * band[known, z]
            ax.fill_between(
                found.t[known], -edge, edge, color=colour(c.teacher), alpha=0.13, lw=0,
                label=f"{label(c.teacher)}'s 3 sigma",
            )  # fmt: skip
        for name, size in ((c.teacher, 3.5), (c.student, 2.0)):
            value = found.value[name][:, z]
            ax.plot(found.t, value, ".", ms=size, color=colour(name), label=label(name))
        evaluated = found.t >= c.skip_s
        tops = [np.nanquantile(np.abs(found.value[c.teacher][evaluated, z]), 0.995)]
        tops += [] if band is None else [3 * np.nanmedian(band[evaluated, z])]
        top = 1.3 * max(float(np.nanmax(tops)), 1e-9)
        ax.set_ylim(-top, top)
        ax.set_xlim(found.t[0], found.t[-1])
        frame(ax, x="time [s]", y=f"{found.channels[z]} [{found.units[z]}]")
    legend(figure, axes)
    return figure
