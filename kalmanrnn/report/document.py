"""A report of one verdict, figures and tables: as report.json, report.md and report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.json_text import json_values
from kalmanrnn.report.style import ReportFigure
from kalmanrnn.report.tables import Table


class Document(NamedTuple):
    """What a report shows. command: how to repeat it; provenance: (name, value) besides."""

    title: str
    verdict: str
    summary: str
    figures: Sequence[ReportFigure]
    tables: Sequence[Table]
    notes: Sequence[str]
    command: str
    provenance: Sequence[tuple[str, str]]


def write_document(folder: Path, document: Document, report: Mapping[str, Any]) -> dict[str, Any]:
    """Write the three files; return what report.json holds, with six significant digits."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(json_values(report, digits=6), indent=1, allow_nan=False) + "\n"
    atomic_write(folder / "report.json", text)
    atomic_write(folder / "report.md", _markdown(document))
    atomic_write(folder / "report.html", _html(document))
    return json.loads(text)


def _markdown(d: Document) -> str:
    from kalmanrnn.report.markdown import table_text

    parts = [f"# {d.title}", f"**{d.verdict}**", *([d.summary] if d.summary else [])]
    parts += [table_text(table) for table in d.tables]
    parts.append("Figures: `report.html`. All numbers: `report.json`.")
    if d.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in d.notes))
    parts.append(f"## How it was made\n\n```sh\n{d.command}\n```")
    parts.append("\n".join(f"- {name}: {value}" for name, value in d.provenance))
    return "\n\n".join(parts) + "\n"


def _html(d: Document) -> str:
    from kalmanrnn.report.page import figure_html, list_html, page, provenance_html, table_html

    body = [
        f"<h1>{escape(d.title)}</h1>",
        f'<p class="soft">{escape(d.summary)}</p>' if d.summary else "",
        f'<p class="verdict">{escape(d.verdict)}</p>',
        *(figure_html(figure) for figure in d.figures),
        *(table_html(table) for table in d.tables),
        list_html("Notes", d.notes),
        provenance_html(d.provenance, command=d.command),
    ]
    return page(d.title, body)
