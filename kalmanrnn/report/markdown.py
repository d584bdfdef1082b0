"""A report as Markdown: text and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kalmanrnn.core.json_text import json_values
from kalmanrnn.evaluation.comparison import Comparison
from kalmanrnn.report.tables import Table, tables
from kalmanrnn.report.text import GLOSSARY, number, verdict


def render(comparison: Comparison, info: Mapping[str, Any]) -> str:
    """Return report.md."""
    parts = [f"# {comparison.scenario}: can the student do the filter's job?"]
    parts += [f"**{verdict(comparison)}**"]
    if info.get("reference_note"):
        parts.append(f"> **About the reference.** {info['reference_note']}")
    parts.append(comparison.summary + ".")
    parts += [table_text(t) for t in tables(comparison, info)]
    parts.append("Figures: `report.html`. Every number: `report.json`, `per_drive.csv`.")
    if notes(info):
        parts.append("## Notes\n\n" + "\n".join(f"- {r}" for r in notes(info)))
    parts.append("## Glossary\n\n" + "\n".join(f"- {m}" for m in GLOSSARY))
    parts.append("## How it was made\n")
    if info.get("command"):
        parts.append(f"```sh\n{info['command']}\n```")
    if info.get("map"):
        parts.append(f"The map of the log:\n\n```yaml\n{info['map']}\n```")
    parts.append("\n".join(f"- {name}: {value}" for name, value in provenance(comparison, info)))
    return "\n\n".join(parts) + "\n"


def table_text(table: Table) -> str:
    """Write a table under its title."""
    rule = ["---"] * table.text_columns + ["---:"] * (len(table.header) - table.text_columns)
    lines = [table.header, rule, *table.rows]
    body = "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in lines
    )
    return f"## {table.title}\n\n{table.note}\n\n{body}"


def notes(info: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know about this run."""
    found = []
    if info.get("resets") is not None:
        found.append(
            f"Diverged drives reset to the teacher's state during training: {info['resets']}. "
            "At evaluation nothing is ever reset."
        )
    if info.get("filterpy_difference") is not None:
        found.append(
            "Largest relative difference between the teacher and filterpy on re-computed "
            f"segments: {float(info['filterpy_difference']):.1e}."
        )
    return found + [str(note) for note in info.get("notes") or ()]


def provenance(comparison: Comparison, info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List seeds, versions and settings, so that the run can be repeated."""
    found = [("seed", f"{info.get('seed', comparison.seed)}")]
    found.append(("bootstrap seed", f"{comparison.seed}"))
    if info.get("seconds_total") is not None:
        found.append(("total time", f"{number(float(info['seconds_total']))} s"))
    if info.get("machine"):
        found.append(("machine", str(info["machine"])))
    versions = info.get("versions") or {}
    if versions:
        found.append(("versions", ", ".join(f"{k} {v}" for k, v in versions.items())))
    if info.get("config"):
        found.append(("settings", json.dumps(json_values(info["config"]))))
    return found
