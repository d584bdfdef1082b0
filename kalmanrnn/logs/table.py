"""Columns of a CSV file as numbers, checked line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.errors import UserError
from kalmanrnn.logs.mapping import nearest


class Table(NamedTuple):
    """Some columns of one file.

    name: the file's. t: `[n]` seconds, increasing. values: `[n, c]` in the order asked for.
    """

    name: str
    t: np.ndarray
    values: np.ndarray


def read_table(path: Path, time: str, columns: Sequence[str]) -> Table:
    """Read a time column and others; UserError names the line that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            numbers, lines = _numbers(path.name, csv.reader(file), [time, *columns])
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise UserError(
            f"cannot read {path}", why=str(e), cure="check the folder, and `file:` in the map"
        ) from e
    t = numbers[:, 0]
    back = np.flatnonzero(np.diff(t) <= 0)
    if back.size:
        first = back[0]
        repeated = t[first + 1] == t[first]
        raise UserError(
            f"{path.name} line {lines[first + 1]}: time {t[first + 1]:.6f} s "
            + ("repeats" if repeated else "is before")
            + f" line {lines[first]}'s {t[first]:.6f} s",
            why="times must increase from line to line",
            cure="remove the repeated lines" if repeated else f"sort {path.name} by {time}",
        )
    return Table(path.name, t, numbers[:, 1:])


def _numbers(
    name: str, rows: Iterable[list[str]], columns: list[str]
) -> tuple[np.ndarray, list[int]]:
    """Return the columns `[n, c]` and each row's line in the file."""
    filled = ((line, row) for line, row in enumerate(rows, 1) if any(c.strip() for c in row))
    _, header = next(filled, (0, []))
    at = _places(name, [cell.strip() for cell in header], columns)
    numbers, lines = [], []
    for line, row in filled:
        if len(row) != len(header):
            raise UserError(
                f"{name} line {line}: {len(row)} cells, but the header has {len(header)}",
                why="a row of another length cannot be matched with the columns",
                cure=f"mend or remove line {line}",
            )
        numbers.append([_number(name, line, column, row[i]) for column, i in at.items()])
        lines.append(line)
    if not numbers:
        raise UserError(
            f"{name} is empty", why="it has no row of numbers", cure="check how it was recorded"
        )
    found = np.array(numbers)
    assert found.shape == (len(lines), len(columns))
    return found, lines


def _places(name: str, header: list[str], columns: list[str]) -> dict[str, int]:
    if not header:
        raise UserError(
            f"{name} is empty", why="not even a header", cure="check how it was recorded"
        )
    for column in columns:
        if column not in header:
            raise UserError(
                f"{name} line 1: no column {column!r}",
                why="the map names it, the file's header does not",
                cure=nearest(column, header),
            )
    if len(set(columns)) != len(columns):
        raise UserError(
            f"{name}: a column is named twice in the map",
            why=f"asked for {', '.join(columns)}",
            cure="name each column once",
        )
    return {column: header.index(column) for column in columns}


def _number(name: str, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise UserError(
            f"{name} line {line}: {cell.strip()!r} in column {column!r}",
            why="every reading must be a finite number",
            cure=f"remove line {line}, or write the number",
        )
    return value


def moved(table: Table, delay_s: float) -> tuple[Table, list[str]]:
    """Move a table's times earlier, and say so."""
    if not delay_s:
        return table, []
    note = f"{table.name}: times moved {delay_s:g} s earlier, as the map says"
    return table._replace(t=table.t - delay_s), [note]


def common_span(tables: Sequence[Table]) -> tuple[float, float]:
    """Return the times that all tables cover; UserError when there are none."""
    for a in tables:
        for b in tables:
            if a.t[0] > b.t[-1]:
                raise UserError(
                    f"{b.name} and {a.name} do not overlap in time: {b.name} ends at "
                    f"{b.t[-1]:.3f} s, {a.name} starts at {a.t[0]:.3f} s",
                    why="they must be stamped by one clock, in seconds",
                    cure="check the time columns and delay_s in the map",
                )
    return max(float(x.t[0]) for x in tables), min(float(x.t[-1]) for x in tables)
