"""The tables of a sweep's report: trends, means along the axis, all runs."""

from __future__ import annotations

import math

from kalmanrnn.core.config import RunConfig
from kalmanrnn.experiments.sweep.text import (
    SweepResult,
    curve_label,
    format_trend,
    is_categorical,
    metric_label,
    subject,
)
from kalmanrnn.experiments.sweep.trend import Curve
from kalmanrnn.report.tables import Table
from kalmanrnn.report.text import NOTHING, number


def tables(found: SweepResult) -> list[Table]:
    """Return all tables that there are data for."""
    made = [] if is_categorical(found) or not found.curves else [trend_table(found)]
    return [*made, *([mean_table(found)] if found.curves else []), run_table(found)]


def trend_table(found: SweepResult) -> Table:
    """Tabulate each curve's trend."""
    worse = "WORSE" if found.higher_is_better else "RISES"
    rows = tuple(
        (
            curve_label(c),
            worse if t.direction == "rises" else t.direction,
            format_trend(found, c, t),
        )
        for c, t in zip(found.curves, found.trends, strict=True)
    )
    note = (
        f"{worse}: a mean is worse than at a smaller value of {found.axis}, by more than the "
        "spread over seeds explains in 95 % of sweeps (studentised range), and by at least 1 %; "
        "by 5 % with one seed, where the spread is unknown."
    )
    header = ("metric", f"with {found.axis}", "from and to")
    return Table("Trend", note, header, rows, ("",) * len(rows), text_columns=len(header))


def mean_table(found: SweepResult) -> Table:
    """Tabulate mean and spread over seeds along the axis."""
    metrics = list(dict.fromkeys(c.metric for c in found.curves))
    rows = []
    for line in dict.fromkeys(c.line for c in found.curves):
        of_line = {c.metric: c for c in found.curves if c.line == line}
        places = sorted({x for c in of_line.values() for x in c.x})
        for i, x in enumerate(places):
            cells = [_mean(of_line.get(metric), x) for metric in metrics]
            seeds = max(len(c.values[c.x.index(x)]) for c in of_line.values() if x in c.x)
            rows.append((line if i == 0 else "", f"{x:g}", *cells, str(seeds)))
    header = ("line", found.axis, *(metric_label(found, m) for m in metrics), "seeds")
    note = "Mean ± standard deviation between seeds."
    if isinstance(found.config, RunConfig):
        note += " Errors are accuracy ratios: student / teacher, 1 is parity."
    texts = 2
    if not any(row[0] for row in rows):
        header, rows, texts = header[1:], [row[1:] for row in rows], 1
    made = tuple(rows)
    return Table(
        f"Error {subject(found)}", note, header, made, ("",) * len(made), text_columns=texts
    )


def _mean(curve: Curve | None, x: float) -> str:
    if curve is None or x not in curve.x:
        return NOTHING
    at = curve.x.index(x)
    mean, spread = float(curve.mean[at]), float(curve.std[at])
    if not math.isfinite(mean):
        return f"{sum(not math.isfinite(v) for v in curve.values[at])} diverged"
    return number(mean, 4) + ("" if math.isnan(spread) else f" ± {number(spread, 2)}")


def run_table(found: SweepResult) -> Table:
    """Tabulate every run."""
    metrics = list(found.results[0].metrics)
    rows = tuple(
        (
            r.name,
            *(number(r.metrics[m], 4) for m in metrics),
            NOTHING if r.num_parameters is None else f"{r.num_parameters:,}",
            number(r.seconds),
            r.state,
        )
        for r in found.results
    )
    header = (
        "run",
        *(metric_label(found, m) for m in metrics),
        "parameters",
        "training [s]",
        "state",
    )
    note = f"Each is a folder in {found.sweep.path}."
    return Table("All runs", note, header, rows, ("",) * len(rows))
