"""The figures of a sequence task's report, by the task's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.report.style import (
    STYLE,
    ReportFigure,
    colour,
    frame,
    grid,
    legend,
    logarithmic,
    to_svg,
)
from kalmanrnn.report.training_curve import PALETTE, training
from kalmanrnn.tasks.evaluation import EvaluatedSet, TaskEvaluation
from kalmanrnn.tasks.task import SequenceTask, TaskMetrics

TRUTH, OUTPUT, INPUT = "#000000", colour("student"), "#0072B2"
EXAMPLES = 3
# Curves of more points have no markers; a larger range of values makes an axis logarithmic.
MAX_MARKERS, LOG_RANGE = 60, 200.0


def task_figures(
    task: SequenceTask, judged: TaskEvaluation, history: Sequence[Mapping[str, Any]]
) -> list[ReportFigure]:
    """Draw every figure of a task's report."""
    with mpl.rc_context(STYLE):
        made = [sequence_figure(task, shown) for shown in judged.sets]
        if judged.metrics.curves:
            made.insert(0, metrics_figure(judged.metrics))
        if history:
            text = "Training loss and validation error."
            made.append(("Training", text, training(history)))
        return [ReportFigure(title, text, to_svg(figure, title)) for title, text, figure in made]


def sequence_figure(task: SequenceTask, shown: EvaluatedSet) -> tuple[str, str, Figure]:
    """Draw some sequences, by the task's kind."""
    drawn = {
        "forecast": (draw_forecast, "Inputs, what followed (black) and the forecast."),
        "step_value": (draw_steps, "The value at each step, predicted and true."),
        "step_class": (draw_steps, "The predicted probability at each step, and the class."),
        "sequence_value": (
            draw_scatter,
            "A point is one sequence; on the line the prediction is exact.",
        ),
        "sequence_class": (
            draw_reliability,
            "How often the class was 1, by the predicted probability. On the line the "
            "probabilities are calibrated.",
        ),
    }
    draw, text = drawn[task.kind]
    return shown.name[0].upper() + shown.name[1:], text, draw(task, shown)


def step_axis(task: SequenceTask, count: int, first: int = 0) -> tuple[np.ndarray, str]:
    """Return the places of steps on an axis, and its name."""
    steps = np.arange(first, first + count)
    return (steps * task.dt_s, "time [s]") if task.dt_s else (steps, "step")


def draw_forecast(task: SequenceTask, shown: EvaluatedSet) -> Figure:
    """Draw inputs and what follows, predicted and true."""
    count = min(EXAMPLES, len(shown.outputs))
    figure, axes = grid(count, height=2.4)
    before, name = step_axis(task, task.steps)
    after, _ = step_axis(task, task.horizon, task.steps)
    for i, ax in enumerate(axes):
        ax.plot(before, shown.sample.x[i, :, 0], color=INPUT, lw=1.6, label="input")
        ax.plot(after, shown.sample.y[i, :, 0], color=TRUTH, lw=1.2, label="true")
        ax.plot(
            after, shown.outputs[i, :, 0], color=OUTPUT, lw=1.6, ls=(0, (5, 2)), label="forecast"
        )
        ax.axvline(after[0], color="#888888", lw=0.8, ls=":")
        frame(ax, x=name, y=_axis_label(task.labels[0]))
    legend(figure, axes)
    return figure


def draw_steps(task: SequenceTask, shown: EvaluatedSet) -> Figure:
    """Draw labels over the steps, predicted and true, below the first input."""
    count = min(EXAMPLES, len(shown.outputs))
    figure, axes = grid(count, height=2.4)
    for i, ax in enumerate(axes):
        used = int(np.asarray(shown.sample.weight[i]).sum())
        t, name = step_axis(task, used)
        if task.is_classification:
            ax.plot(t, shown.sample.x[i, :used, 0], color=INPUT, lw=1.0, label="input")
        ax.plot(t, shown.sample.y[i, :used, 0], color=TRUTH, lw=1.2, label="true")
        ax.plot(
            t, shown.outputs[i, :used, 0], color=OUTPUT, lw=1.2, ls=(0, (5, 2)), label="network"
        )
        frame(ax, x=name, y="class" if task.is_classification else _axis_label(task.labels[0]))
    legend(figure, axes)
    return figure


def draw_scatter(task: SequenceTask, shown: EvaluatedSet) -> Figure:
    """Draw predicted against true, a panel for each label."""
    figure, axes = grid(len(task.labels), height=3.0)
    for at, (ax, label) in enumerate(zip(axes, task.labels, strict=True)):
        true, predicted = shown.sample.y[:, at], shown.outputs[:, at]
        ax.plot(true, predicted, ".", color=OUTPUT, ms=3, alpha=0.5)
        draw_diagonal(ax, float(true.min()), float(true.max()))
        frame(ax, x=f"true {_axis_label(label)}", y=f"predicted {_axis_label(label)}")
    return figure


def draw_reliability(task: SequenceTask, shown: EvaluatedSet) -> Figure:
    """Draw the share of class 1 by predicted probability."""
    figure, axes = grid(1, height=3.0)
    predicted, came = shown.outputs[:, 0], shown.sample.y[:, 0]
    edges = np.linspace(0, 1, 11)
    bins = np.digitize(predicted, edges[1:-1])
    for at in range(10):
        inside = bins == at
        if inside.sum() >= 5:
            share = float(came[inside].mean())
            spread = (share * (1 - share) / inside.sum()) ** 0.5
            axes[0].errorbar(
                predicted[inside].mean(), share, 2 * spread, fmt="o", color=OUTPUT, ms=4
            )
    draw_diagonal(axes[0], 0.0, 1.0)
    frame(axes[0], x="predicted probability", y="share of class 1")
    return figure


def metrics_figure(metrics: TaskMetrics) -> tuple[str, str, Figure]:
    """Draw the curves that a task's own `evaluate` returned."""
    figure, axes = grid(1, height=3.0)
    for i, (name, x, y) in enumerate(metrics.curves):
        mark = "o" if len(x) <= MAX_MARKERS else ""
        paint = PALETTE[i % len(PALETTE)]
        axes[0].plot(x, y, marker=mark, ms=3, lw=1.4, color=paint, label=name)
    for which, at in (("x", 1), ("y", 2)):
        every = np.concatenate([np.ravel(curve[at]) for curve in metrics.curves])
        if every.min() > 0 and every.max() > LOG_RANGE * every.min():
            logarithmic(axes[0], which=which, low=float(every.min()), high=float(every.max()))
    legend(figure, axes)
    frame(axes[0], x=metrics.axes[0], y=metrics.axes[1])
    return "Evaluation", "Curves from the task's own evaluation.", figure


def draw_diagonal(ax: Axes, low: float, high: float) -> None:
    """Draw the line on which predictions are exact."""
    ax.plot([low, high], [low, high], color="#888888", lw=0.9, ls=":")


def _axis_label(channel: Any) -> str:
    return f"{channel.name} [{channel.unit}]" if channel.unit else channel.name
