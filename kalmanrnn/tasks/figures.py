"""The pictures of a sequence task's report: what a person would draw, by the task's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.report.style import STYLE, colour, frame, grid, legend, logarithmic
from kalmanrnn.report.svg import ReportFigure, to_svg
from kalmanrnn.report.training_curve import PALETTE, training
from kalmanrnn.tasks.evaluation import Judged, Shown
from kalmanrnn.tasks.task import SequenceTask, Verdict

TRUE, SAID, GIVEN = "#000000", colour("student"), "#0072B2"
EXAMPLES = 3
# Curves of more points get no dots; figures that span more than a factor get a logarithmic axis.
MARKED, WIDE = 60, 200.0


def task_pictures(
    task: SequenceTask, judged: Judged, history: Sequence[Mapping[str, Any]]
) -> list[ReportFigure]:
    """Draw every figure of a task's report."""
    with mpl.rc_context(STYLE):
        made = [kind_picture(task, shown) for shown in judged.shown]
        if judged.verdict.curves:
            made.insert(0, verdict_picture(judged.verdict))
        if history:
            text = "Training loss, and the error on sequences that are never learnt from."
            made.append(("Training", text, training(history)))
        return [ReportFigure(title, text, to_svg(figure, title)) for title, text, figure in made]


def kind_picture(task: SequenceTask, shown: Shown) -> tuple[str, str, Figure]:
    """Draw some sequences as their kind asks for."""
    drawn = {
        "forecast": (forecast, "The forecast continued past the input; black is what came."),
        "step_value": (over_steps, "The number at each step, predicted and true."),
        "step_class": (over_steps, "The probability of the class at each step, and the class."),
        "sequence_value": (predicted_true, "Each point is one sequence; on the line is right."),
        "sequence_class": (
            reliability,
            "How often the outcome was yes, by the probability that the network gave it. On the "
            "line its probabilities mean what they say.",
        ),
    }
    draw, text = drawn[task.kind]
    return shown.name[0].upper() + shown.name[1:], text, draw(task, shown)


def step_axis(task: SequenceTask, count: int, first: int = 0) -> tuple[np.ndarray, str]:
    """Return the places of steps on an axis, and its name."""
    steps = np.arange(first, first + count)
    return (steps * task.dt_s, "time [s]") if task.dt_s else (steps, "step")


def forecast(task: SequenceTask, shown: Shown) -> Figure:
    """Draw inputs and what follows, predicted and true."""
    count = min(EXAMPLES, len(shown.out))
    figure, axes = grid(count, height=2.4)
    before, name = step_axis(task, task.steps)
    after, _ = step_axis(task, task.ahead, task.steps)
    for i, ax in enumerate(axes):
        ax.plot(before, shown.sample.x[i, :, 0], color=GIVEN, lw=1.6, label="input")
        ax.plot(after, shown.sample.y[i, :, 0], color=TRUE, lw=1.2, label="what came")
        ax.plot(after, shown.out[i, :, 0], color=SAID, lw=1.6, ls=(0, (5, 2)), label="forecast")
        ax.axvline(after[0], color="#888888", lw=0.8, ls=":")
        frame(ax, x=name, y=_named(task.labels[0]))
    legend(figure, axes)
    return figure


def over_steps(task: SequenceTask, shown: Shown) -> Figure:
    """Draw labels over the steps, predicted and true, below the first input."""
    count = min(EXAMPLES, len(shown.out))
    figure, axes = grid(count, height=2.4)
    for i, ax in enumerate(axes):
        used = int(np.asarray(shown.sample.weight[i]).sum())
        t, name = step_axis(task, used)
        if task.classes:
            ax.plot(t, shown.sample.x[i, :used, 0], color=GIVEN, lw=1.0, label="input")
        ax.plot(t, shown.sample.y[i, :used, 0], color=TRUE, lw=1.2, label="true")
        ax.plot(t, shown.out[i, :used, 0], color=SAID, lw=1.2, ls=(0, (5, 2)), label="network")
        frame(ax, x=name, y="class" if task.classes else _named(task.labels[0]))
    legend(figure, axes)
    return figure


def predicted_true(task: SequenceTask, shown: Shown) -> Figure:
    """Draw predicted against true, a panel for each label."""
    figure, axes = grid(len(task.labels), height=3.0)
    for at, (ax, label) in enumerate(zip(axes, task.labels, strict=True)):
        true, said = shown.sample.y[:, at], shown.out[:, at]
        ax.plot(true, said, ".", color=SAID, ms=3, alpha=0.5)
        diagonal(ax, float(true.min()), float(true.max()))
        frame(ax, x=f"true {_named(label)}", y=f"predicted {_named(label)}")
    return figure


def reliability(task: SequenceTask, shown: Shown) -> Figure:
    """Draw how often a class came by the probability it was given."""
    figure, axes = grid(1, height=3.0)
    said, came = shown.out[:, 0], shown.sample.y[:, 0]
    edges = np.linspace(0, 1, 11)
    bins = np.digitize(said, edges[1:-1])
    for at in range(10):
        inside = bins == at
        if inside.sum() >= 5:
            share = float(came[inside].mean())
            spread = (share * (1 - share) / inside.sum()) ** 0.5
            axes[0].errorbar(said[inside].mean(), share, 2 * spread, fmt="o", color=SAID, ms=4)
    diagonal(axes[0], 0.0, 1.0)
    frame(axes[0], x="probability given", y="share that came true")
    return figure


def verdict_picture(verdict: Verdict) -> tuple[str, str, Figure]:
    """Draw the curves that a task's own judge gave."""
    figure, axes = grid(1, height=3.0)
    for i, (name, x, y) in enumerate(verdict.curves):
        mark = "o" if len(x) <= MARKED else ""
        paint = PALETTE[i % len(PALETTE)]
        axes[0].plot(x, y, marker=mark, ms=3, lw=1.4, color=paint, label=name)
    for which, at in (("x", 1), ("y", 2)):
        every = np.concatenate([np.ravel(curve[at]) for curve in verdict.curves])
        if every.min() > 0 and every.max() > WIDE * every.min():
            logarithmic(axes[0], which=which, low=float(every.min()), high=float(every.max()))
    legend(figure, axes)
    frame(axes[0], x=verdict.axes[0], y=verdict.axes[1])
    return "What was judged", "Drawn from the figures in the table above.", figure


def diagonal(ax: Axes, low: float, high: float) -> None:
    """Draw the line on which prediction is truth."""
    ax.plot([low, high], [low, high], color="#888888", lw=0.9, ls=":")


def _named(channel: Any) -> str:
    return f"{channel.name} [{channel.unit}]" if channel.unit else channel.name
