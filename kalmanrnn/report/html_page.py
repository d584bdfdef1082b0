"""A comparison's report as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from kalmanrnn.evaluation.comparison import Comparison
from kalmanrnn.report.markdown import notes, provenance
from kalmanrnn.report.page import figure_html, list_html, page, provenance_html, table_html
from kalmanrnn.report.plots import figures
from kalmanrnn.report.tables import DETAIL, tables
from kalmanrnn.report.text import GLOSSARY, verdict


def render(comparison: Comparison, info: Mapping[str, Any]) -> str:
    """Return report.html."""
    c = comparison
    first, *others = tables(c, info)
    drawn = figures(c, info)
    short = [t for t in others if t.title != DETAIL]
    long = [t for t in others if t.title == DETAIL]
    title = f"{c.scenario}: can the student do the filter's job?"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(c.summary)}.</p>',
        f'<p class="verdict">{escape(verdict(c))}</p>',
        _reference_note(info),
        *(table_html(t) for t in [first, *short]),
        *(figure_html(p) for p in drawn),
        *(table_html(t) for t in long),
        list_html("Notes", notes(info)),
        list_html("Glossary", GLOSSARY),
        _provenance(c, info),
    ]
    return page(title, body)


def _reference_note(info: Mapping[str, Any]) -> str:
    note = info.get("reference_note")
    return f'<p class="warning"><b>About the reference.</b> {escape(str(note))}</p>' if note else ""


def _provenance(comparison: Comparison, info: Mapping[str, Any]) -> str:
    more = ""
    if info.get("map"):
        more = f"<p>The map of the log:</p><pre>{escape(str(info['map']))}</pre>"
    rows = provenance(comparison, info)
    return provenance_html(rows, command=str(info.get("command") or ""), more=more)
