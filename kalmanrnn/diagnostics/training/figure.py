"""The figure of a diagnosis: memory needed, memory used and gradient, over steps back."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kalmanrnn.diagnostics.figure_file import save_figure
from kalmanrnn.diagnostics.training.diagnosis import Diagnosis
from kalmanrnn.report.style import COLOURS, STYLE, frame, roomy

NEEDED, SEEN, GRADIENT = COLOURS["ukf"], COLOURS["student"], COLOURS["ekf"]
# Smaller values are float32 rounding.
FLOOR = 1e-7


def draw(diagnosis: Diagnosis, path: Path) -> bool:
    """Draw the figure; False where there is nothing to draw."""
    if diagnosis.lags is None and diagnosis.curves is None:
        return False
    with mpl.rc_context(STYLE):
        save_figure(diagnosis_figure(diagnosis), path)
    return True


def diagnosis_figure(diagnosis: Diagnosis) -> Figure:
    """Draw what the task needs above what the network does, over the same steps back."""
    made = Figure(figsize=(7.2, 5.2), layout="constrained")
    roomy(made)
    top, low = made.subplots(2, 1, sharex=True)
    _task_panel(top, diagnosis)
    _network_panel(low, diagnosis)
    # Ticks at whole steps; the far past is drawn closer together.
    low.set_xscale("symlog", linthresh=10)
    low.set_xticks([0, 2, 5, 10, 20, 50, 100, 200, 500])
    low.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    low.set_xlim(0, _furthest(diagnosis))
    return made


def _furthest(diagnosis: Diagnosis) -> float:
    """Return the last step back that either panel shows."""
    ends = [1]
    if diagnosis.lags is not None:
        ends.append(int(diagnosis.lags.lag[-1]))
    if diagnosis.curves is not None:
        ends.append(len(diagnosis.curves.gradient) - 1)
    return max(ends)


def _task_panel(ax: Axes, diagnosis: Diagnosis) -> None:
    frame(ax, x="", y="R² of the targets")
    ax.set_title("What the task needs: targets explained by inputs up to k steps back")
    ax.set_ylim(0, 1.05)
    if diagnosis.lags is None:
        ax.text(0.5, 0.5, "too few sequences", transform=ax.transAxes, ha="center")
        return
    curve = diagnosis.lags
    ax.plot(curve.lag, curve.r2, color=NEEDED, marker="o", ms=3)
    if curve.needed is not None:
        ax.axvline(curve.needed, color=NEEDED, ls=":", lw=1)
        ax.annotate(
            f" needed: {curve.needed}", (curve.needed, 0.02), color=NEEDED, va="bottom", ha="left"
        )


def _network_panel(ax: Axes, diagnosis: Diagnosis) -> None:
    frame(ax, x="steps back, k", y="share of the largest")
    if diagnosis.curves is None:
        ax.set_title("No network")
        return
    ax.set_title(f"What {diagnosis.network_name} does")
    for size, colour, dash, text in (
        (diagnosis.curves.sensitivity, SEEN, "-", "sensitivity of the output to inputs"),
        (diagnosis.curves.gradient, GRADIENT, "--", "gradient of the loss by the memory"),
    ):
        if size.max() > 0:
            share = np.maximum(size / size.max(), FLOOR)
            ax.plot(np.arange(len(size)), share, color=colour, ls=dash, label=text)
    ax.set_yscale("log")
    ax.set_ylim(FLOOR, 2)
    if diagnosis.lags is not None and diagnosis.lags.needed is not None:
        ax.axvline(diagnosis.lags.needed, color=NEEDED, ls=":", lw=1)
    ax.legend(loc="lower left")
