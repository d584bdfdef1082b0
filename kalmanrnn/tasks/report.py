"""A sequence task's report: report.json, report.md, report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.report.json_data import plain
from kalmanrnn.report.tables import Table
from kalmanrnn.report.text import number
from kalmanrnn.tasks.evaluation import Judged
from kalmanrnn.tasks.task import SequenceTask
from kalmanrnn.tasks.validation import say


def write_task_report(
    folder: Path, task: SequenceTask, judged: Judged, *, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the three files; return what report.json holds.

    info: command, history, seed, versions, config, seconds_total, seconds_learning, weights.
    """
    from kalmanrnn.tasks.figures import task_pictures

    report = as_json(task, judged, info)
    drawn = task_pictures(task, judged, info.get("history") or ())
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    atomic_write(folder / "report.md", markdown(task, judged, info))
    atomic_write(folder / "report.html", html(task, judged, info, drawn))
    return json.loads((folder / "report.json").read_text())


def as_json(task: SequenceTask, judged: Judged, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything a report says; what is not finite becomes null."""
    merit, value = task.merit, judged.verdict.value
    made = {
        "task": task.name,
        "summary": task.summary,
        "kind": task.kind,
        "verdict": sentence(task, judged),
        "merit": merit.name,
        "unit": merit.unit,
        "value": value,
        "bar": merit.bar,
        "holds": reached(task, judged),
        "conditions": dict(judged.verdict.conditions),
        "beside": dict(task.beside) | dict(judged.verdict.rows),
        "errors": {shown.name: shown.error for shown in judged.shown},
        "notes": notes(task, judged),
    }
    return plain(made | dict(info))


def sentence(task: SequenceTask, judged: Judged) -> str:
    """Say how the network does, against the bar and as plainly where it fails."""
    merit, value = task.merit, judged.verdict.value
    said = f"{merit.name}: {_figure(value, merit.unit)}"
    if merit.bar is None:
        return said + "."
    bound = "at least" if merit.higher else "at most"
    holds = "reached" if reached(task, judged) else "not reached"
    broken = [name for name, holds in judged.verdict.conditions if not holds]
    because = f" ({'; '.join(f'it does not hold that {name}' for name in broken)})"
    told = f"{bound} {_figure(merit.bar, merit.unit)}: {holds}{because if broken else ''}"
    return f"{said}; to be reached: {told}."


def reached(task: SequenceTask, judged: Judged) -> bool | None:
    """Whether the bar is reached and every condition holds; None without a bar."""
    holds = task.merit.holds(judged.verdict.value)
    return holds and all(holds for _, holds in judged.verdict.conditions)


def _figure(value: float, unit: str) -> str:
    return f"{number(value, 4)} {unit}".strip()


def notes(task: SequenceTask, judged: Judged) -> list[str]:
    """Collect what a reader must know."""
    made = ["The data are synthetic: made by the generator that the task's file describes."]
    return [*(made if task.synthetic else []), *task.notes, *judged.verdict.notes]


def results(task: SequenceTask, judged: Judged) -> Table:
    """Tabulate the figure of merit, what stands beside it, and what others reached."""
    verdict = judged.verdict
    rows = [("this network", number(verdict.value, 4))]
    rows += [(name, number(value, 4)) for name, value in verdict.rows]
    rows += [(f"as tried by others: {name}", number(value, 4)) for name, value in task.beside]
    head = task.merit.name + (f" [{task.merit.unit}]" if task.merit.unit else "")
    return Table(
        "Result",
        "On fresh sequences, never learnt from and never used to choose the network.",
        ("what", head),
        tuple(rows),
        ("student", *[""] * (len(rows) - 1)),
    )


def errors(task: SequenceTask, judged: Judged) -> Table:
    """Tabulate the kind's own error on held-out sequences and on the probes."""
    rows = tuple((s.name, say(task, s.error).summary) for s in judged.shown)
    return Table(
        "Errors",
        "The same kind of error for all, on sequences never learnt from.",
        ("on", "error"),
        rows,
        ("",) * len(rows),
    )


def origin(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what is needed to make the run again."""
    rows = [("seed", str(info.get("seed", "")))]
    for key, name in (
        ("seconds_total", "time taken in all"),
        ("seconds_learning", "of it learning"),
    ):
        if info.get(key) is not None:
            rows.append((name, f"{number(float(info[key]))} s"))
    if info.get("weights"):
        rows.append(("weights of the network", f"{info['weights']:,}"))
    rows.append(("versions", ", ".join(f"{k} {v}" for k, v in info["versions"].items())))
    rows.append(("settings", json.dumps(plain(info["config"]))))
    return rows


def markdown(task: SequenceTask, judged: Judged, info: Mapping[str, Any]) -> str:
    """Return the whole report.md."""
    from kalmanrnn.report.markdown import table_text

    parts = [f"# {task.name}", f"**{sentence(task, judged)}**", task.summary + "."]
    parts += [table_text(results(task, judged)), table_text(errors(task, judged))]
    parts.append("Pictures: `report.html`. Every number: `report.json`.")
    parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes(task, judged)))
    parts.append(f"## How it was made\n\n```sh\n{info['command']}\n```")
    parts.append("\n".join(f"- {name}: {value}" for name, value in origin(info)))
    return "\n\n".join(parts) + "\n"


def html(task: SequenceTask, judged: Judged, info: Mapping[str, Any], drawn: Any) -> str:
    """Return the whole report.html."""
    from kalmanrnn.report.page import figure_html, list_html, page, provenance_html, table_html

    body = [
        f"<h1>{escape(task.name)}</h1>",
        f'<p class="soft">{escape(task.summary)}.</p>',
        f'<p class="verdict">{escape(sentence(task, judged))}</p>',
        table_html(results(task, judged)),
        table_html(errors(task, judged)),
        *(figure_html(picture) for picture in drawn),
        list_html("Notes", notes(task, judged)),
        provenance_html(origin(info), command=str(info["command"])),
    ]
    return page(f"{task.name}: {task.summary}", body)
