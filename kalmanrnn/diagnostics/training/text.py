"""What a person reads, and the same as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from kalmanrnn.diagnostics.finding import findings_to_json, format_findings
from kalmanrnn.diagnostics.training.diagnose import Diagnosis
from kalmanrnn.diagnostics.training.memory import reach


def sheet(diagnosis: Diagnosis) -> str:
    """Lay out findings, then what was measured on the way."""
    return "\n".join([format_findings(diagnosis.findings), "", *measured(diagnosis)])


def measured(diagnosis: Diagnosis) -> list[str]:
    """Say in a line each what the curves and the short trainings came to."""
    lines = []
    curve = diagnosis.lags
    if curve is not None:
        last = f"{curve.needed} steps back" if curve.needed is not None else "no step back"
        lines.append(
            f"memory needed: {last} (linear; inputs tell {curve.r2.max():.0%} of the targets, "
            f"looked at up to {curve.lag[-1]} steps back)"
        )
    if diagnosis.curves is not None and diagnosis.curves.sensitivity.max() > 0:
        seen = reach(diagnosis.curves.sensitivity)
        lines.append(f"memory used by {diagnosis.whose}: {seen} steps back (above 1 %)")
    if diagnosis.rate is not None:
        lines.append(f"learning rate that got furthest in a few updates: {diagnosis.rate:.1g}")
    swept = diagnosis.sweep
    if swept is not None:
        told = ", ".join(
            f"{width} units {np.median(a):.2g} / {np.median(b):.2g}"
            for width, a, b in zip(swept.widths, swept.train, swept.held, strict=True)
        )
        lines.append(f"training / held-out loss, shares of a constant output's: {told}")
    return lines


def plain(diagnosis: Diagnosis) -> dict[str, Any]:
    """Give everything as plain data for JSON."""
    found: dict[str, Any] = {"findings": findings_to_json(diagnosis.findings)}
    if diagnosis.lags is not None:
        curve = diagnosis.lags
        found["memory_needed"] = curve.needed
        found["told_by_lag"] = {"lag": curve.lag.tolist(), "r2": curve.r2.tolist()}
    if diagnosis.curves is not None:
        found["whose"] = diagnosis.whose
        found["sensitivity"] = diagnosis.curves.sensitivity.tolist()
        found["gradient"] = diagnosis.curves.gradient.tolist()
        found["memory_used"] = reach(diagnosis.curves.sensitivity)
    if diagnosis.sweep is not None:
        found["sweep"] = {
            "widths": list(diagnosis.sweep.widths),
            "train": _finite(diagnosis.sweep.train),
            "held_out": _finite(diagnosis.sweep.held),
        }
    return found | {"learning_rate": diagnosis.rate}


def _finite(a: np.ndarray) -> list[list[float | None]]:
    """Give numbers that JSON knows: null where a training left the finite."""
    return [[float(v) if np.isfinite(v) else None for v in row] for row in a]
