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
from kalmanrnn.tasks.evaluation import TaskEvaluation
from kalmanrnn.tasks.task import SequenceTask
from kalmanrnn.tasks.validation import format_error


def write_task_report(
    folder: Path, task: SequenceTask, judged: TaskEvaluation, *, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the three files; return what report.json holds.

    info: command, history, seed, versions, config, seconds_total, seconds_learning, weights.
    """
    from kalmanrnn.tasks.figures import task_figures

    report = report_json(task, judged, info)
    drawn = task_figures(task, judged, info.get("history") or ())
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    atomic_write(folder / "report.md", markdown(task, judged, info))
    atomic_write(folder / "report.html", html(task, judged, info, drawn))
    return json.loads((folder / "report.json").read_text())


def report_json(
    task: SequenceTask, judged: TaskEvaluation, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything in the report as JSON; what is not finite becomes null."""
    metric, value = task.metric, judged.metrics.value
    made = {
        "task": task.name,
        "summary": task.summary,
        "kind": task.kind,
        "verdict": verdict_sentence(task, judged),
        "metric": metric.name,
        "unit": metric.unit,
        "value": value,
        "target": metric.target,
        "reached": is_target_reached(task, judged),
        "conditions": dict(judged.metrics.conditions),
        "baselines": dict(task.baselines) | dict(judged.metrics.rows),
        "errors": {shown.name: shown.error for shown in judged.sets},
        "notes": notes(task, judged),
    }
    return plain(made | dict(info))


def verdict_sentence(task: SequenceTask, judged: TaskEvaluation) -> str:
    """Say how the network does against the target, as plainly where it fails."""
    metric, value = task.metric, judged.metrics.value
    result = f"{metric.name}: {_with_unit(value, metric.unit)}"
    if metric.target is None:
        return result + "."
    bound = "at least" if metric.higher_is_better else "at most"
    reached = "reached" if is_target_reached(task, judged) else "not reached"
    broken = [name for name, holds in judged.metrics.conditions if not holds]
    because = f" (not met: {'; '.join(broken)})"
    target = f"{bound} {_with_unit(metric.target, metric.unit)}"
    return f"{result}; target {target}: {reached}{because if broken else ''}."


def is_target_reached(task: SequenceTask, judged: TaskEvaluation) -> bool | None:
    """Whether the target is reached and every condition holds; None without a target."""
    holds = task.metric.is_reached(judged.metrics.value)
    return holds and all(holds for _, holds in judged.metrics.conditions)


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value, 4)} {unit}".strip()


def notes(task: SequenceTask, judged: TaskEvaluation) -> list[str]:
    """Return what a reader must know."""
    made = ["The data are synthetic, from the generator in the task's file."]
    return [*(made if task.synthetic else []), *task.notes, *judged.metrics.notes]


def metrics_table(task: SequenceTask, judged: TaskEvaluation) -> Table:
    """Tabulate the metric, further figures and baselines."""
    metrics = judged.metrics
    rows = [("this network", number(metrics.value, 4))]
    rows += [(name, number(value, 4)) for name, value in metrics.rows]
    rows += [(f"baseline: {name}", number(value, 4)) for name, value in task.baselines]
    head = task.metric.name + (f" [{task.metric.unit}]" if task.metric.unit else "")
    return Table(
        "Result",
        "On test sequences, used neither for training nor to choose the network.",
        ("what", head),
        tuple(rows),
        ("student", *[""] * (len(rows) - 1)),
    )


def error_table(task: SequenceTask, judged: TaskEvaluation) -> Table:
    """Tabulate the kind's own error on the test set and on the probes."""
    rows = tuple((s.name, format_error(task, s.error).summary) for s in judged.sets)
    return Table(
        "Errors",
        "On sequences never trained on.",
        ("on", "error"),
        rows,
        ("",) * len(rows),
    )


def provenance(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what is needed to repeat the run."""
    rows = [("seed", str(info.get("seed", "")))]
    for key, name in (
        ("seconds_total", "total time"),
        ("seconds_learning", "of it training"),
    ):
        if info.get(key) is not None:
            rows.append((name, f"{number(float(info[key]))} s"))
    if info.get("weights"):
        rows.append(("parameters of the network", f"{info['weights']:,}"))
    rows.append(("versions", ", ".join(f"{k} {v}" for k, v in info["versions"].items())))
    rows.append(("settings", json.dumps(plain(info["config"]))))
    return rows


def markdown(task: SequenceTask, judged: TaskEvaluation, info: Mapping[str, Any]) -> str:
    """Return the whole report.md."""
    from kalmanrnn.report.markdown import table_text

    parts = [f"# {task.name}", f"**{verdict_sentence(task, judged)}**", task.summary + "."]
    parts += [table_text(metrics_table(task, judged)), table_text(error_table(task, judged))]
    parts.append("Figures: `report.html`. All numbers: `report.json`.")
    parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes(task, judged)))
    parts.append(f"## How it was made\n\n```sh\n{info['command']}\n```")
    parts.append("\n".join(f"- {name}: {value}" for name, value in provenance(info)))
    return "\n\n".join(parts) + "\n"


def html(task: SequenceTask, judged: TaskEvaluation, info: Mapping[str, Any], drawn: Any) -> str:
    """Return the whole report.html."""
    from kalmanrnn.report.page import figure_html, list_html, page, provenance_html, table_html

    body = [
        f"<h1>{escape(task.name)}</h1>",
        f'<p class="soft">{escape(task.summary)}.</p>',
        f'<p class="verdict">{escape(verdict_sentence(task, judged))}</p>',
        table_html(metrics_table(task, judged)),
        table_html(error_table(task, judged)),
        *(figure_html(picture) for picture in drawn),
        list_html("Notes", notes(task, judged)),
        provenance_html(provenance(info), command=str(info["command"])),
    ]
    return page(f"{task.name}: {task.summary}", body)
