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
    [text], reanchored, teacher_check, seconds_total, history [{step, loss, part, ratios,
    held_out...}], outages (see `withheld.Outage`), reference_note, log (its
    name), map (the YAML it was read with).
    """
    # Matplotlib takes a second to import: only those who write a report pay for it.
    from kalmanrnn.report import html_page, json_data, markdown

    report = json_data.as_json(comparison, info)
    files = {
        "report.json": json.dumps(report, indent=1, allow_nan=False) + "\n",
        "per_drive.csv": json_data.per_drive_csv(comparison),
        "report.md": markdown.render(comparison, info),
        "report.html": html_page.render(comparison, info),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        atomic_write(folder / name, text)
    return report
