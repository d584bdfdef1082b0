"""A comparison's report as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from kalmanrnn.evaluation.comparison import Comparison
from kalmanrnn.report.markdown import notes, provenance
from kalmanrnn.report.page import figure_html, list_html, page, provenance_html, table_html
from kalmanrnn.report.plots import figures
from kalmanrnn.report.tables import tables
from kalmanrnn.report.text import GLOSSARY, verdict


def render(comparison: Comparison, info: Mapping[str, Any]) -> str:
    """Return the whole report.html."""
    c = comparison
    first, *others = tables(c, info)
    drawn = figures(c, info)
    short = [t for t in others if t.title != "Error in detail"]
    long = [t for t in others if t.title == "Error in detail"]
    title = f"{c.scenario}: can the student do the filter's job?"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(c.summary)}.</p>',
        f'<p class="verdict">{escape(verdict(c))}</p>',
        _mind(info),
        *(table_html(t) for t in [first, *short]),
        *(figure_html(p) for p in drawn),
        *(table_html(t) for t in long),
        list_html("Notes", notes(info)),
        list_html("What the words mean", GLOSSARY),
        _origin(c, info),
    ]
    return page(title, body)


def _mind(info: Mapping[str, Any]) -> str:
    note = info.get("reference_note")
    return f'<p class="mind"><b>Mind the reference.</b> {escape(str(note))}</p>' if note else ""


def _origin(comparison: Comparison, info: Mapping[str, Any]) -> str:
    more = ""
    if info.get("map"):
        more = f"<p>The map it was read with:</p><pre>{escape(str(info['map']))}</pre>"
    rows = provenance(comparison, info)
    return provenance_html(rows, command=str(info.get("command") or ""), more=more)
