"""The parts of a self-contained HTML page: style, tables, figures, lists."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from typing import Any

from kalmanrnn.report.style import ReportFigure, colour
from kalmanrnn.report.tables import Table

CSS = """
:root { --ink: #1b1f24; --soft: #57606a; --rule: #d8dee4; --page: #ffffff; --tint: #f5f7f9;
  --mark: #D55E00; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a0a8b0; --rule: #3a4048;
  --page: #16191d; --tint: #1f242a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .35rem; }
p { margin: .35rem 0 .75rem; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.verdict { font-size: 1.12rem; border-left: 4px solid var(--mark); background: var(--tint);
  padding: .9rem 1.1rem; margin: 1.25rem 0; }
.warning { border: 2px solid var(--mark); padding: .7rem 1.1rem; margin: 1rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .6rem; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; white-space: normal;
  border-bottom: 2px solid var(--rule); }
.text { text-align: left; }
tr.first td { border-top: 2px solid var(--rule); }
tr.student td { background: var(--tint); font-weight: 600; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .5em; }
figure { margin: .5rem 0 0; }
img { width: 100%; height: auto; background: #fff; border-radius: 4px; }
pre { background: var(--tint); padding: .75rem 1rem; overflow-x: auto; font-size: .88rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
li { margin: .25rem 0; font-size: .92rem; }
@media print { :root { --ink: #000; --soft: #444; --rule: #bbb; --page: #fff; --tint: #f5f5f5; }
  @page { margin: 15mm; } main { max-width: none; padding: 0; } body { font-size: 10pt; }
  figure, table, .verdict { break-inside: avoid; } h2 { break-after: avoid; }
  .scroll { overflow: visible; } th, td { padding: .25rem .4rem; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """Assemble a page; empty parts are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style></head>\n<body><main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main></body></html>\n"
    )


def table_html(table: Table) -> str:
    """Write a table under its title."""
    head = "".join(
        f'<th scope="col"{_left(i, table)}>{escape(h)}</th>' for i, h in enumerate(table.header)
    )
    rows = "\n".join(
        _row(row, method, table) for row, method in zip(table.rows, table.estimators, strict=True)
    )
    return (
        f"<section><h2>{escape(table.title)}</h2>\n"
        f'<p class="soft">{escape(table.note)}</p>\n'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _row(row: tuple[str, ...], method: str, table: Table) -> str:
    cells = []
    for i, text in enumerate(row):
        dot = ""
        if method and i == table.text_columns - 1:
            dot = f'<span class="dot" style="background:{colour(method)}"></span>'
        cells.append(f"<td{_left(i, table)}>{dot}{escape(text)}</td>")
    names = [method] if method == "student" else []
    names += ["first"] if table.text_columns > 1 and row[0] else []
    return f'<tr class="{" ".join(names)}">{"".join(cells)}</tr>'


def _left(column: int, table: Table) -> str:
    return ' class="text"' if column < table.text_columns else ""


def figure_html(picture: ReportFigure) -> str:
    """Write a figure under its title, as an embedded image."""
    # As an image, its ids clash with no other figure's and no address in it is ever requested.
    data = base64.b64encode(picture.svg.encode()).decode()
    alt = escape(f"{picture.title}. {picture.caption}", quote=True)
    return (
        f"<section><h2>{escape(picture.title)}</h2>\n"
        f"<figure><figcaption>{escape(picture.caption)}</figcaption>\n"
        f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}"></figure></section>'
    )


def list_html(title: str, items: Any) -> str:
    """Write a list of sentences under a title; nothing if it is empty."""
    if not items:
        return ""
    body = "".join(f"<li>{escape(str(item))}</li>" for item in items)
    return f"<section><h2>{escape(title)}</h2><ul>{body}</ul></section>"


def provenance_html(rows: Iterable[tuple[str, str]], *, command: str, more: str = "") -> str:
    """Write how a report was made: the command, then the facts."""
    shown = f"<pre>{escape(command)}</pre>" if command else ""
    facts = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in rows)
    return f"<section><h2>How it was made</h2>{shown}{more}<dl>{facts}</dl></section>"
