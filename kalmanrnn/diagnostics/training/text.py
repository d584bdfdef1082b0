"""A diagnosis as text and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from kalmanrnn.diagnostics.finding import findings_to_json, format_findings
from kalmanrnn.diagnostics.training.diagnosis import Diagnosis
from kalmanrnn.diagnostics.training.memory import memory_length


def format_diagnosis(diagnosis: Diagnosis) -> str:
    """Return findings, then measurements, as text."""
    return "\n".join([format_findings(diagnosis.findings), "", *format_measurements(diagnosis)])


def format_measurements(diagnosis: Diagnosis) -> list[str]:
    """Return a line for each measurement: curves and short trainings."""
    lines = []
    curve = diagnosis.lags
    if curve is not None:
        needed = f"{curve.needed} steps back" if curve.needed is not None else "none"
        lines.append(
            f"memory needed: {needed} (linear; inputs up to {curve.lag[-1]} steps back explain "
            f"{curve.r2.max():.0%} of the targets)"
        )
    if diagnosis.curves is not None and diagnosis.curves.sensitivity.max() > 0:
        seen = memory_length(diagnosis.curves.sensitivity)
        lines.append(f"memory used by {diagnosis.network_name}: {seen} steps back (above 1 %)")
    if diagnosis.learning_rate is not None:
        lines.append(f"best learning rate in a few updates: {diagnosis.learning_rate:.1g}")
    sweep = diagnosis.width_sweep
    if sweep is not None:
        losses = ", ".join(
            f"{width} units {np.median(a):.2g} / {np.median(b):.2g}"
            for width, a, b in zip(sweep.widths, sweep.train, sweep.validation, strict=True)
        )
        lines.append(f"training / validation loss over a constant output's: {losses}")
    return lines


def diagnosis_to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return everything as JSON values."""
    found: dict[str, Any] = {"findings": findings_to_json(diagnosis.findings)}
    if diagnosis.lags is not None:
        curve = diagnosis.lags
        found["memory_needed"] = curve.needed
        found["r2_by_lag"] = {"lag": curve.lag.tolist(), "r2": curve.r2.tolist()}
    if diagnosis.curves is not None:
        found["network"] = diagnosis.network_name
        found["sensitivity"] = diagnosis.curves.sensitivity.tolist()
        found["gradient"] = diagnosis.curves.gradient.tolist()
        found["memory_used"] = memory_length(diagnosis.curves.sensitivity)
    if diagnosis.width_sweep is not None:
        found["width_sweep"] = {
            "widths": list(diagnosis.width_sweep.widths),
            "train": _finite(diagnosis.width_sweep.train),
            "validation": _finite(diagnosis.width_sweep.validation),
        }
    return found | {"learning_rate": diagnosis.learning_rate}


def _finite(a: np.ndarray) -> list[list[float | None]]:
    """Replace what is not finite by None: JSON has no infinity."""
    return [[float(v) if np.isfinite(v) else None for v in row] for row in a]
