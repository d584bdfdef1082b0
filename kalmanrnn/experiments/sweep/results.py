"""Results of a sweep's runs, read from their folders."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from kalmanrnn.core.errors import DIVERGED, UserError
from kalmanrnn.core.npz import read_npz
from kalmanrnn.experiments.sweep.folder import Run
from kalmanrnn.experiments.sweep.grid import Setting


class RunResult(NamedTuple):
    """The result of one run.

    metrics: error by state group (student / teacher), or a task's metric by its name; infinite
    where the run diverged, NaN where unknown. state: "done", "failed" or "waiting". why: the
    error of a failed run. num_parameters: of the network. seconds: of training.
    """

    name: str
    setting: Setting
    state: str
    metrics: dict[str, float]
    why: str = ""
    num_parameters: int | None = None
    seconds: float | None = None


def read_results(runs: Sequence[Run]) -> list[RunResult]:
    """Read all runs; each result has the same metrics in the same order."""
    results = [read_result(run) for run in runs]
    names = dict.fromkeys(name for result in results for name in result.metrics)
    lost = [(run.failure or {}).get("code") == DIVERGED for run in runs]
    return [
        r._replace(metrics={n: r.metrics.get(n, math.inf if diverged else math.nan) for n in names})
        for r, diverged in zip(results, lost, strict=True)
    ]


def read_result(run: Run) -> RunResult:
    """Read one run: its report, its failure, or how far it is."""
    failure, path = run.failure, run.folder.report / "report.json"
    metrics = report_metrics(json.loads(path.read_text())) if path.exists() else {}
    state = "failed" if failure else "done" if metrics else "waiting"
    why = f"{failure['what']}: {failure['why']}" if failure else ""
    spent = [line["seconds"] for line in run.folder.history() if "seconds" in line]
    return RunResult(
        run.name,
        run.setting,
        state,
        metrics,
        why,
        num_parameters=count_parameters(run) if state == "done" else None,
        seconds=spent[-1] if spent else None,
    )


def report_metrics(report: dict[str, Any]) -> dict[str, float]:
    """Return the errors in a run's report; null there means not finite."""
    if "task" in report:
        raw = {report.get("metric") or report["merit"]: report["value"]}
    else:
        raw = {group: ratio["value"] for group, ratio in report["accuracy_ratio"].items()}
    return {name: math.inf if value is None else float(value) for name, value in raw.items()}


def count_parameters(run: Run) -> int | None:
    """Count the parameters of a run's model; None where it has none."""
    missing = UserError("no model", why="", cure="")
    try:
        arrays, _ = read_npz(run.folder.best, missing=missing, cure="")
    except UserError:
        return None
    # A model is (parameters, scales): the scales follow from the data.
    return sum(a.size for name, a in arrays.items() if name.startswith("[0]"))
