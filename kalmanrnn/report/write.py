"""Reports: a comparison as report.html, report.md, report.json and per_drive.csv."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.evaluation.comparison import Comparison


def write_report(
    folder: str | Path, comparison: Comparison, *, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the four files, each whole or not at all; return what report.json holds.

    info, every key optional: command, versions {name: version}, seed, config, machine, notes
    [text], resets, filterpy_difference, seconds_total, history [{step, loss, phase, ratios,
    validation_error...}], outages (see `outages.Outage`), reference_note, log (its name), map
    (the YAML it was read with).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = report_texts(comparison, info)
    for name, text in files.items():
        atomic_write(folder / name, text)
    return json.loads(files["report.json"])


def report_texts(
    comparison: Comparison, info: Mapping[str, Any], *, only: str = ""
) -> dict[str, str]:
    """Return a report's files as text by name; only the one with that ending, if given."""
    # Matplotlib takes a second to import: only those who write a report pay for it.
    from kalmanrnn.report import html_page, json_data, markdown

    def report_json() -> str:
        report = json_data.as_json(comparison, info)
        return json.dumps(report, indent=1, allow_nan=False) + "\n"

    makers = {
        "report.json": report_json,
        "per_drive.csv": lambda: json_data.per_drive_csv(comparison),
        "report.md": lambda: markdown.render(comparison, info),
        "report.html": lambda: html_page.render(comparison, info),
    }
    return {name: make() for name, make in makers.items() if name.endswith(only)}
