"""A comparison as plain JSON values, and as one CSV row per drive and estimator."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from kalmanrnn.core.json_text import json_values
from kalmanrnn.evaluation.comparison import Comparison, EstimatorMetrics
from kalmanrnn.evaluation.metrics import Interval
from kalmanrnn.evaluation.summary import QUANTILES
from kalmanrnn.report.text import verdict

POINTS = 400
DIGITS = 6


def as_json(comparison: Comparison, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything a report shows; numbers that are not finite become null."""
    c = comparison
    student = c.metrics[c.student]
    keep = np.unique(np.linspace(0, len(c.t) - 1, POINTS).astype(int))
    report = {
        "scenario": c.scenario,
        "summary": c.summary,
        "verdict": verdict(c),
        "drives": c.drives,
        "drive_seconds": c.seconds,
        "skip_s": c.skip_s,
        "seconds_total": None,
        "diverged": None if student.diverged is None else int(student.diverged.sum()),
        "teacher": c.teacher,
        "student": c.student,
        "units": {g.name: g.unit for g in c.groups},
        "accuracy_ratio": {name: _interval(i) for name, i in c.accuracy_ratio.items()},
        "imitation_ratio": {name: _interval(i) for name, i in c.imitation_ratio.items()},
        "interval_over": c.resampled,
        "agreement_rmse": c.agreement,
        "us_per_tick": {name: o.us_per_tick for name, o in c.metrics.items()},
        "diverged_share": {
            name: float(o.diverged.mean())
            for name, o in c.metrics.items()
            if o.diverged is not None
        },
        "nees_band": c.nees_band,
        "nees": {name: o.nees_mean for name, o in c.metrics.items()},
        "nis": {name: o.nis_mean for name, o in c.metrics.items()},
        "picked_drives": {p.rank: {"drive": p.drive, "rmse": p.score} for p in c.examples},
        "over_time": _over_time(c, keep),
        "error_quantiles": {"at": QUANTILES[::10]} | _by_group(c, lambda o: o.quantiles, 10),
    }
    for field in ("rmse", "median", "p95", "max"):
        report[field] = {
            g.name: {
                name: getattr(o.errors[g.name], field)
                for name, o in c.metrics.items()
                if g.name in o.errors
            }
            for g in c.groups
        }
    return json_values(report | dict(info), digits=DIGITS)


def _interval(i: Interval) -> dict[str, float]:
    return i._asdict()


def _by_group(c: Comparison, select: Any, step: Any) -> dict[str, Any]:
    """Return `{group: {estimator: numbers}}` of arrays, thinned."""
    rows = slice(None, None, step) if isinstance(step, int) else step
    return {
        g.name: {n: select(o)[g.name][rows] for n, o in c.metrics.items() if g.name in select(o)}
        for g in c.groups
    }


def _over_time(c: Comparison, keep: np.ndarray) -> dict[str, Any]:
    def nees(o: EstimatorMetrics) -> Any:
        return None if o.nees is None else o.nees[keep]

    return {
        "t_s": c.t[keep],
        "rms": _by_group(c, lambda o: o.over_time, keep),
        "sigma": _by_group(c, lambda o: o.sigma, keep),
        "nees": {name: nees(o) for name, o in c.metrics.items()},
    }


def per_drive_csv(comparison: Comparison) -> str:
    """Return one row per drive and estimator: RMSE by group, and whether it diverged."""
    c = comparison
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"{g.name}_rmse [{g.unit}]" for g in c.groups]
    writer.writerow(["drive", "estimator", "diverged", *names])
    for drive in range(c.drives):
        for name, o in c.metrics.items():
            errors = [o.per_drive.get(g.name) for g in c.groups]
            cells = ["" if e is None or np.isnan(e[drive]) else f"{e[drive]:.6g}" for e in errors]
            flag = "" if o.diverged is None else int(o.diverged[drive])
            writer.writerow([drive, name, flag, *cells])
    return text.getvalue()
