"""A sequence task's report: report.json, report.md, report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kalmanrnn.core.json_text import json_values
from kalmanrnn.report.document import Document, write_document
from kalmanrnn.report.tables import Table
from kalmanrnn.report.text import number
from kalmanrnn.tasks.evaluation import TaskEvaluation
from kalmanrnn.tasks.task import SequenceTask
from kalmanrnn.tasks.validation import format_error


def write_task_report(
    folder: Path, task: SequenceTask, evaluation: TaskEvaluation, *, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the three files; return what report.json holds.

    info: command, history, seed, versions, config, seconds_total, seconds_learning, weights.
    """
    from kalmanrnn.tasks.figures import task_figures

    document = Document(
        title=task.name,
        verdict=verdict_sentence(task, evaluation),
        summary=task.summary + ".",
        figures=task_figures(task, evaluation, info.get("history") or ()),
        tables=(metrics_table(task, evaluation), error_table(task, evaluation)),
        notes=notes(task, evaluation),
        command=str(info["command"]),
        provenance=provenance(info),
    )
    return write_document(folder, document, report_json(task, evaluation, info))


def report_json(
    task: SequenceTask, evaluation: TaskEvaluation, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything that report.json holds."""
    metric, value = task.metric, evaluation.metrics.value
    made = {
        "task": task.name,
        "summary": task.summary,
        "kind": task.kind,
        "verdict": verdict_sentence(task, evaluation),
        "metric": metric.name,
        "unit": metric.unit,
        "value": value,
        "target": metric.target,
        "reached": is_target_reached(task, evaluation),
        "conditions": dict(evaluation.metrics.conditions),
        "baselines": dict(task.baselines) | dict(evaluation.metrics.rows),
        "errors": {shown.name: shown.error for shown in evaluation.sets},
        "notes": notes(task, evaluation),
    }
    return made | dict(info)


def verdict_sentence(task: SequenceTask, evaluation: TaskEvaluation) -> str:
    """Say how the network does against the target, as plainly where it fails."""
    metric, value = task.metric, evaluation.metrics.value
    result = f"{metric.name}: {_with_unit(value, metric.unit)}"
    if metric.target is None:
        return result + "."
    bound = "at least" if metric.higher_is_better else "at most"
    reached = "reached" if is_target_reached(task, evaluation) else "not reached"
    broken = [name for name, holds in evaluation.metrics.conditions if not holds]
    because = f" (not met: {'; '.join(broken)})"
    target = f"{bound} {_with_unit(metric.target, metric.unit)}"
    return f"{result}; target {target}: {reached}{because if broken else ''}."


def is_target_reached(task: SequenceTask, evaluation: TaskEvaluation) -> bool | None:
    """Whether the target is reached and every condition holds; None without a target."""
    holds = task.metric.is_reached(evaluation.metrics.value)
    return holds and all(holds for _, holds in evaluation.metrics.conditions)


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value, 4)} {unit}".strip()


def notes(task: SequenceTask, evaluation: TaskEvaluation) -> list[str]:
    """Return what a reader must know."""
    made = ["The data are synthetic, from the generator in the task's file."]
    return [*(made if task.synthetic else []), *task.notes, *evaluation.metrics.notes]


def metrics_table(task: SequenceTask, evaluation: TaskEvaluation) -> Table:
    """Tabulate the metric, further figures and baselines."""
    metrics = evaluation.metrics
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


def error_table(task: SequenceTask, evaluation: TaskEvaluation) -> Table:
    """Tabulate the kind's own error on the test set and on the probes."""
    rows = tuple((s.name, format_error(task, s.error).summary) for s in evaluation.sets)
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
    rows.append(("settings", json.dumps(json_values(info["config"]))))
    return rows
