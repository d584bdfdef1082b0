"""The figure of a training run, from the records of its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.report.style import OTHER, colour, frame, grid, logarithmic

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", OTHER, "#000000")


def training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw loss and validation metrics over steps; rows may lack any key."""
    rows = [_flatten(row) for row in history]
    steps = np.array([row.get("step", i) for i, row in enumerate(rows)], float)
    keys = dict.fromkeys(key for row in rows for key in row)
    # Ratios share one axis; without any there is the error.
    measured = [key for key in keys if key.startswith("ratios")]
    what = "student / teacher" if measured else "error"
    measured = measured or [key for key in keys if key == "validation_error"]
    figure, axes = grid(2 if measured else 1, height=2.8)
    _curve(axes[0], steps, rows, "loss", colour("student"))
    frame(axes[0], x="step", y="training loss")
    for i, key in enumerate(measured[: len(PALETTE)]):
        _curve(axes[1], steps, rows, key, PALETTE[i])
    if measured:
        frame(axes[1], x="step", y=f"{what}, validation set")
        axes[1].legend(fontsize=8)
    for ax in axes:
        _phases(ax, steps, history)
    return figure


def _flatten(row: Mapping[str, Any], before: str = "") -> dict[str, float]:
    """Return a row's numbers with nested names joined by spaces."""
    found: dict[str, float] = {}
    for key, value in row.items():
        name = f"{before} {key}".strip()
        if isinstance(value, Mapping):
            found |= _flatten(value, name)
        elif isinstance(value, Real) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def _curve(ax: Axes, steps: np.ndarray, rows: list[dict[str, float]], key: str, color: str) -> None:
    y = np.array([row.get(key, np.nan) for row in rows])
    good = np.isfinite(y)
    if not good.any():
        return
    marker = "o" if good.sum() < 40 else ""
    ax.plot(
        steps[good],
        y[good],
        marker=marker,
        ms=3,
        lw=1.3,
        color=color,
        label=key.removeprefix("ratios ").replace("_", " "),
    )
    if (y[good] > 0).all() and y[good].max() > 5 * y[good].min():
        logarithmic(ax, which="y", low=float(y[good].min()), high=float(y[good].max()))


def _phases(ax: Axes, steps: np.ndarray, history: Sequence[Mapping[str, Any]]) -> None:
    """Mark where one training phase ends and the next begins."""
    before = ""
    for step, row in zip(steps, history, strict=True):
        name = str(row.get("phase") or before)
        if name != before:
            ax.axvline(step, color="#888888", lw=0.8, ls=":")
            above = {"va": "bottom", "transform": ax.get_xaxis_transform()}
            ax.text(step, 1.0, f" {name}", fontsize=8, color="#555555", **above)
        before = name
