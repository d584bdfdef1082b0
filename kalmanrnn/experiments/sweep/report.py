"""A sweep's report: report.json, report.md, report.html."""

from __future__ import annotations

import json
import math
from typing import Any

from kalmanrnn.core.config import RunConfig
from kalmanrnn.core.json_text import json_values
from kalmanrnn.experiments.sweep.folder import Sweep
from kalmanrnn.experiments.sweep.grid import sweep_axis
from kalmanrnn.experiments.sweep.results import read_results
from kalmanrnn.experiments.sweep.tables import tables
from kalmanrnn.experiments.sweep.text import (
    SweepResult,
    notes,
    subject,
    trend_sentence,
    verdict,
)
from kalmanrnn.experiments.sweep.trend import judge_trend, make_curves
from kalmanrnn.report.document import Document, write_document
from kalmanrnn.report.text import number
from kalmanrnn.training.run_directory import versions


def write_sweep_report(sweep: Sweep) -> dict[str, Any]:
    """Write the three files from the runs' folders; return what report.json holds."""
    from kalmanrnn.experiments.sweep.figure import sweep_figures

    found = read_sweep(sweep)
    document = Document(
        title=f"{found.config.sim}: error {subject(found)}, {len(found.results)} runs",
        verdict=verdict(found),
        summary="",
        figures=sweep_figures(found),
        tables=tables(found),
        notes=notes(found),
        command=sweep.command,
        provenance=provenance(found),
    )
    return write_document(sweep.path / "report", document, report_json(found))


def read_sweep(sweep: Sweep) -> SweepResult:
    """Read the runs and judge the trends of their curves."""
    config = sweep.runs[0].config()
    results, axis = read_results(sweep.runs), sweep_axis(sweep.grid)
    if isinstance(config, RunConfig):
        higher_is_better, unit = False, "error, student / teacher"
        width = getattr(config.student, axis, math.nan)
    else:
        from kalmanrnn.tasks.task import load_task

        metric = load_task(config.sim, config.set).metric
        higher_is_better, unit = metric.higher_is_better, metric.unit and f"[{metric.unit}]"
        width = getattr(config.network, axis, math.nan)
    curves = make_curves(results, sweep.grid, axis, width)
    trends = [judge_trend(curve, higher_is_better=higher_is_better) for curve in curves]
    return SweepResult(sweep, config, axis, higher_is_better, unit, results, curves, trends)


def report_json(found: SweepResult) -> dict[str, Any]:
    """Return everything that report.json holds."""
    return {
        "sim": found.config.sim,
        "set": found.config.set,
        "grid": found.sweep.grid,
        "axis": found.axis,
        "verdict": verdict(found),
        "rises": any(t.direction == "rises" for t in found.trends),
        "curves": [
            c._asdict()
            | {"mean": c.mean, "std": c.std, "trend": t.direction}
            | {"sentence": trend_sentence(found, c, t)}
            for c, t in zip(found.curves, found.trends, strict=True)
        ],
        "runs": [r._asdict() for r in found.results],
        "command": found.sweep.command,
        "versions": versions(),
        "config": found.config,
    }


def provenance(found: SweepResult) -> list[tuple[str, str]]:
    """List what is needed to repeat the sweep."""
    spent = sum(r.seconds or 0.0 for r in found.results)
    return [
        ("total training time", f"{number(spent)} s"),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions().items())),
        ("settings of the first run", json.dumps(json_values(found.config))),
    ]
