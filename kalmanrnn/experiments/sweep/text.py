"""The sentences of a sweep's report: does error fall, stay flat or rise."""

from __future__ import annotations

import math
from typing import NamedTuple

from kalmanrnn.core.config import TaskConfig
from kalmanrnn.experiments.sweep.folder import Sweep
from kalmanrnn.experiments.sweep.grid import CAPACITY, SEED, Config
from kalmanrnn.experiments.sweep.results import RunResult
from kalmanrnn.experiments.sweep.trend import Curve, Trend
from kalmanrnn.report.text import group_label, number

# Curves named in the verdict; the table has all.
MAX_NAMED = 3


class SweepResult(NamedTuple):
    """A sweep's runs, read and judged: everything that its report shows.

    axis: the setting on the x axis. higher_is_better: of the metric. unit: of the metric.
    """

    sweep: Sweep
    config: Config
    axis: str
    higher_is_better: bool
    unit: str
    results: list[RunResult]
    curves: list[Curve]
    trends: list[Trend]


def verdict(found: SweepResult) -> str:
    """Say whether error falls, stays flat or rises along the axis."""
    finished = [r for r in found.results if r.state != "waiting"]
    so_far = "" if len(finished) == len(found.results) else (
        f"So far, with {len(finished)} of {len(found.results)} runs: "
    )  # fmt: skip
    known = [
        (c, t) for c, t in zip(found.curves, found.trends, strict=True) if t.direction != "unknown"
    ]
    if not known and is_categorical(found):
        return f"{so_far}{ranking(found)}"
    if not known:
        return f"{so_far}There is only one value of {found.axis} so far: nothing to compare."
    rising = [(c, t) for c, t in known if t.direction == "rises"]
    if rising:
        details = "; ".join(trend_sentence(found, c, t) for c, t in rising[:MAX_NAMED])
        if len(rising) > MAX_NAMED:
            details += f"; and {len(rising) - MAX_NAMED} more of {len(known)} in the table below"
        advice = _rise_advice(found.axis)
        return f"{so_far}{_rise_phrase(found)} with {found.axis}: {details}. {advice}".strip()
    parts = [
        f"it {'falls' if word == 'falls' else 'stays flat'} in {', '.join(names)}"
        for word in ("falls", "flat")
        if (names := [curve_label(c) for c, t in known if t.direction == word])
    ]
    return f"{so_far}Error does not rise with {found.axis}: {'; '.join(parts)}."


def is_categorical(found: SweepResult) -> bool:
    """Whether the grid has only names, such as cells: there is no curve, only a ranking."""
    return len(found.sweep.grid.get(found.axis, ())) < 2 and len({c.line for c in found.curves}) > 1


def subject(found: SweepResult) -> str:
    """Return what error is compared over: an axis of numbers, or names."""
    if not is_categorical(found):
        return f"against {found.axis}"
    return "by " + " and ".join(
        key for key, values in found.sweep.grid.items() if key != SEED and len(values) > 1
    )


def ranking(found: SweepResult) -> str:
    """Rank the grid's names by mean, best first, for each metric."""
    rankings = []
    for metric in dict.fromkeys(c.metric for c in found.curves):
        lines = [(float(c.mean[0]), c.line) for c in found.curves if c.metric == metric]
        lines.sort(
            key=lambda at: (not math.isfinite(at[0]), -at[0] if found.higher_is_better else at[0])
        )
        order = ", then ".join(
            f"{line} ({number(mean, 4) if math.isfinite(mean) else 'diverged'})"
            for mean, line in lines[:MAX_NAMED]
        )
        rankings.append(f"{metric_label(found, metric)}: {order}")
    return f"Best first, means over seeds. {'; '.join(rankings)}."


def _rise_phrase(found: SweepResult) -> str:
    return "The metric gets WORSE" if found.higher_is_better else "Error RISES"


def _rise_advice(x: str) -> str:
    if x not in CAPACITY:
        return ""
    return (
        "A larger network can represent all that a smaller one can, so the optimisation is at "
        "fault: lower the learning rate, warm it up longer, or train for more updates."
    )


def trend_sentence(found: SweepResult, curve: Curve, judged: Trend) -> str:
    """Describe one curve's trend with its numbers."""
    return f"{curve_label(curve)} {format_trend(found, curve, judged)}"


def format_trend(found: SweepResult, curve: Curve, judged: Trend) -> str:
    """Describe where a trend starts and ends, and how much seeds differ."""
    if judged.direction == "unknown":
        return f"at one value of {found.axis} only"
    if math.isnan(judged.std):
        scatter = "one seed, so the spread is unknown"
    elif judged.relative:
        scatter = f"seeds differ by {number(100 * math.expm1(judged.std), 2)} %"
    else:
        scatter = f"seeds differ by {number(judged.std, 2)}"
    first, last = {
        "rises": (judged.better, judged.worse),
        "falls": (0, judged.better),
        "flat": (0, len(curve.x) - 1),
    }[judged.direction]
    return f"from {format_point(curve, first)} to {format_point(curve, last)} ({scatter})"


def format_point(curve: Curve, at: int) -> str:
    """Describe a curve's mean at one point, or how many runs diverged there."""
    x, values = f"{curve.x[at]:g}", curve.values[at]
    lost = sum(not math.isfinite(v) for v in values)
    if lost:
        return f"{x}, where {lost} of {len(values)} runs diverged"
    return f"{number(curve.mean[at])} at {x}"


def curve_label(curve: Curve) -> str:
    """Return a curve's name for readers."""
    return group_label(curve.metric) + (f" ({curve.line})" if curve.line else "")


def metric_label(found: SweepResult, metric: str) -> str:
    """Return a metric's name with its unit; error ratios have none."""
    unit = found.unit if isinstance(found.config, TaskConfig) else ""
    return f"{group_label(metric)} {unit}".strip()


def notes(found: SweepResult) -> list[str]:
    """Return what a reader must know."""
    made = [f"{r.name} failed: {r.why}" for r in found.results if r.state == "failed"]
    waiting = sum(r.state == "waiting" for r in found.results)
    if waiting:
        made.append(f"{waiting} runs are left: kalmanrnn sweep --resume {found.sweep.path}")
    if made:
        made.append("A failed run is not repeated; remove its folder and resume to try again.")
    return made
