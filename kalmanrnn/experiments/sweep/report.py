"""A sweep's report: report.json, report.md, report.html."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.config import RunConfig
from kalmanrnn.experiments.sweep.folder import Sweep
from kalmanrnn.experiments.sweep.grid import across
from kalmanrnn.experiments.sweep.results import collect
from kalmanrnn.experiments.sweep.tables import tables
from kalmanrnn.experiments.sweep.text import Found, notes, sentence, subject, verdict
from kalmanrnn.experiments.sweep.trend import curves, trend
from kalmanrnn.report.json_data import plain
from kalmanrnn.report.text import number
from kalmanrnn.training.run_directory import versions


def write_sweep_report(sweep: Sweep) -> dict[str, Any]:
    """Write the three files from what the runs' folders hold; return what report.json holds."""
    from kalmanrnn.experiments.sweep.figure import pictures

    found = gather(sweep)
    drawn = pictures(found)
    folder = sweep.path / "report"
    folder.mkdir(exist_ok=True)
    atomic_write(folder / "report.json", json.dumps(as_json(found), indent=1) + "\n")
    atomic_write(folder / "report.md", markdown(found))
    atomic_write(folder / "report.html", html(found, drawn))
    return json.loads((folder / "report.json").read_text())


def gather(sweep: Sweep) -> Found:
    """Read the runs and judge the curves."""
    config = sweep.runs[0].config()
    results, x = collect(sweep.runs), across(sweep.grid)
    if isinstance(config, RunConfig):
        higher, what = False, "error, student / teacher"
        width = getattr(config.student, x, math.nan)
    else:
        from kalmanrnn.tasks.task import load_task

        merit = load_task(config.sim, config.set).merit
        higher, what = merit.higher, merit.unit and f"[{merit.unit}]"
        width = getattr(config.network, x, math.nan)
    made = curves(results, sweep.grid, x, width)
    judged = [trend(curve, higher=higher) for curve in made]
    return Found(sweep, config, x, higher, what, results, made, judged)


def as_json(found: Found) -> dict[str, Any]:
    """Return everything the report says; what is not finite becomes null."""
    pairs = zip(found.curves, found.trends, strict=True)
    return plain(
        {
            "sim": found.config.sim,
            "set": found.config.set,
            "grid": found.sweep.grid,
            "x": found.x,
            "verdict": verdict(found),
            "rises": any(t.word == "RISES" for t in found.trends),
            "curves": [
                {
                    "figure": c.figure,
                    "line": c.line,
                    "x": c.x,
                    "mean": c.mean,
                    "spread": c.spread,
                    "values": c.values,
                    "trend": t.word.lower(),
                    "said": sentence(found, c, t),
                }
                for c, t in pairs
            ],
            "runs": [r._asdict() for r in found.results],
            "command": found.sweep.command,
            "versions": versions(),
            "config": found.config,
        }
    )


def markdown(found: Found) -> str:
    """Return the whole report.md."""
    from kalmanrnn.report.markdown import table_text

    parts = [f"# {title(found)}", f"**{verdict(found)}**"]
    parts += [table_text(table) for table in tables(found)]
    parts.append("Pictures: `report.html`. Every number: `report.json`.")
    if notes(found):
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes(found)))
    parts.append(f"## How it was made\n\n```sh\n{found.sweep.command}\n```")
    parts.append("\n".join(f"- {name}: {value}" for name, value in origin(found)))
    return "\n\n".join(parts) + "\n"


def html(found: Found, drawn: Sequence[Any]) -> str:
    """Return the whole report.html."""
    from kalmanrnn.report.page import figure_html, list_html, page, provenance_html, table_html

    body = [
        f"<h1>{escape(title(found))}</h1>",
        f'<p class="verdict">{escape(verdict(found))}</p>',
        *(figure_html(picture) for picture in drawn),
        *(table_html(table) for table in tables(found)),
        list_html("Notes", notes(found)),
        provenance_html(origin(found), command=found.sweep.command),
    ]
    return page(title(found), body)


def title(found: Found) -> str:
    """Name the sweep."""
    return f"{found.config.sim}: error {subject(found)}, {len(found.results)} runs"


def origin(found: Found) -> list[tuple[str, str]]:
    """List what is needed to make the sweep again."""
    spent = sum(r.seconds or 0.0 for r in found.results)
    return [
        ("learning in all", f"{number(spent)} s"),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions().items())),
        ("settings of the first run", json.dumps(plain(found.config))),
    ]
