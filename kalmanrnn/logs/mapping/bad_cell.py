"""Find the line of a CSV file that is invalid, once a column has turned out not to be numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.mapping.values import suggest


def locate_bad_cell(path: Path, columns: Sequence[str]) -> None:
    """Read columns cell by cell; UserError names the first line that is invalid, if there is one.

    Empty cells and NaN are no fault here: they count as no reading.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            _check(path.name, csv.reader(file), columns)
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise UserError(
            f"cannot read {path}", why=str(e), cure="check the folder, and `file:` in the map"
        ) from e


def _check(name: str, rows: Iterable[list[str]], columns: Sequence[str]) -> None:
    filled = ((line, row) for line, row in enumerate(rows, 1) if any(c.strip() for c in row))
    _, header = next(filled, (0, []))
    at = _column_indices(name, [cell.strip() for cell in header], columns)
    for line, row in filled:
        if len(row) != len(header):
            raise UserError(
                f"{name} line {line}: {len(row)} cells, but the header has {len(header)}",
                why="a row of another length cannot be matched with the columns",
                cure=f"mend or remove line {line}",
            )
        for column, i in at.items():
            _check_number(name, line, column, row[i].strip())


def _column_indices(name: str, header: list[str], columns: Sequence[str]) -> dict[str, int]:
    if not header:
        raise UserError(
            f"{name} is empty", why="not even a header", cure="check how it was recorded"
        )
    for column in columns:
        if column not in header:
            raise UserError(
                f"{name} line 1: no column {column!r}",
                why="the map names it, the file's header does not",
                cure=suggest(column, header),
            )
    return {column: header.index(column) for column in columns}


def _check_number(name: str, line: int, column: str, cell: str) -> None:
    try:
        float(cell or "nan")
    except ValueError:
        raise UserError(
            f"{name} line {line}: {cell!r} in column {column!r}",
            why="every reading must be a finite number",
            cure=f"remove line {line}, or write the number",
        ) from None
