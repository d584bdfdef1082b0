"""A diagnosis as text and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from kalmanrnn.core.json_text import json_values
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
    lags, curves, sweep = diagnosis.lags, diagnosis.curves, diagnosis.width_sweep
    if lags is not None:
        found["memory_needed"] = lags.needed
        found["r2_by_lag"] = {"lag": lags.lag, "r2": lags.r2}
    if curves is not None:
        found["network"] = diagnosis.network_name
        found |= {"sensitivity": curves.sensitivity, "gradient": curves.gradient}
        found["memory_used"] = memory_length(curves.sensitivity)
    if sweep is not None:
        found["width_sweep"] = {
            "widths": sweep.widths, "train": sweep.train, "validation": sweep.validation
        }  # fmt: skip
    return json_values(found | {"learning_rate": diagnosis.learning_rate})
