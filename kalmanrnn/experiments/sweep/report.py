"""A sweep's report: report.json, report.md, report.html."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.config import RunConfig
from kalmanrnn.core.environment import versions
from kalmanrnn.experiments.sweep.folder import Sweep
from kalmanrnn.experiments.sweep.grid import sweep_axis
from kalmanrnn.experiments.sweep.results import read_results
from kalmanrnn.experiments.sweep.tables import tables
from kalmanrnn.experiments.sweep.text import SweepResult, notes, subject, trend_sentence, verdict
from kalmanrnn.experiments.sweep.trend import judge_trend, make_curves
from kalmanrnn.report.json_data import plain
from kalmanrnn.report.text import number


def write_sweep_report(sweep: Sweep) -> dict[str, Any]:
    """Write the three files from what the runs' folders hold; return what report.json holds."""
    from kalmanrnn.experiments.sweep.figure import sweep_figures

    found = read_sweep(sweep)
    drawn = sweep_figures(found)
    folder = sweep.path / "report"
    folder.mkdir(exist_ok=True)
    atomic_write(folder / "report.json", json.dumps(report_json(found), indent=1) + "\n")
    atomic_write(folder / "report.md", markdown(found))
    atomic_write(folder / "report.html", html(found, drawn))
    return json.loads((folder / "report.json").read_text())


def read_sweep(sweep: Sweep) -> SweepResult:
    """Read the runs and judge the curves."""
    config = sweep.runs[0].config()
    results, x = read_results(sweep.runs), sweep_axis(sweep.grid)
    if isinstance(config, RunConfig):
        higher, what = False, "error, student / teacher"
        width = getattr(config.student, x, math.nan)
    else:
        from kalmanrnn.tasks.task import load_task

        merit = load_task(config.sim, config.set).metric
        higher, what = merit.higher_is_better, merit.unit and f"[{merit.unit}]"
        width = getattr(config.network, x, math.nan)
    made = make_curves(results, sweep.grid, x, width)
    judged = [judge_trend(curve, higher=higher) for curve in made]
    return SweepResult(sweep, config, x, higher, what, results, made, judged)


def report_json(found: SweepResult) -> dict[str, Any]:
    """Return everything the report says; what is not finite becomes null."""
    pairs = zip(found.curves, found.trends, strict=True)
    return plain(
        {
            "sim": found.config.sim,
            "set": found.config.set,
            "grid": found.sweep.grid,
            "x": found.axis,
            "verdict": verdict(found),
            "rises": any(t.direction == "RISES" for t in found.trends),
            "curves": [
                {
                    "figure": c.metric,
                    "line": c.line,
                    "x": c.x,
                    "mean": c.mean,
                    "spread": c.std,
                    "values": c.values,
                    "trend": t.direction.lower(),
                    "said": trend_sentence(found, c, t),
                }
                for c, t in pairs
            ],
            "runs": [r._asdict() for r in found.results],
            "command": found.sweep.command,
            "versions": versions(),
            "config": found.config,
        }
    )


def markdown(found: SweepResult) -> str:
    """Return the whole report.md."""
    from kalmanrnn.report.markdown import table_text

    parts = [f"# {title(found)}", f"**{verdict(found)}**"]
    parts += [table_text(table) for table in tables(found)]
    parts.append("Pictures: `report.html`. Every number: `report.json`.")
    if notes(found):
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes(found)))
    parts.append(f"## How it was made\n\n```sh\n{found.sweep.command}\n```")
    parts.append("\n".join(f"- {name}: {value}" for name, value in provenance(found)))
    return "\n\n".join(parts) + "\n"


def html(found: SweepResult, drawn: Sequence[Any]) -> str:
    """Return the whole report.html."""
    from kalmanrnn.report.page import figure_html, list_html, page, provenance_html, table_html

    body = [
        f"<h1>{escape(title(found))}</h1>",
        f'<p class="verdict">{escape(verdict(found))}</p>',
        *(figure_html(picture) for picture in drawn),
        *(table_html(table) for table in tables(found)),
        list_html("Notes", notes(found)),
        provenance_html(provenance(found), command=found.sweep.command),
    ]
    return page(title(found), body)


def title(found: SweepResult) -> str:
    """Name the sweep."""
    return f"{found.config.sim}: error {subject(found)}, {len(found.results)} runs"


def provenance(found: SweepResult) -> list[tuple[str, str]]:
    """List what is needed to make the sweep again."""
    spent = sum(r.seconds or 0.0 for r in found.results)
    return [
        ("learning in all", f"{number(spent)} s"),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions().items())),
        ("settings of the first run", json.dumps(plain(found.config))),
    ]
