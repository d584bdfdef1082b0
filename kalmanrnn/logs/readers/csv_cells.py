"""Cells of a CSV column as numbers, with the repairs that spreadsheets call for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

BLANK = ("", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--")
BOOLEANS = {"true": 1.0, "false": 0.0}
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:[.,]\d*)?)")
KINDS = {
    "number": "",
    "blank": "empty cells are read as missing",
    "comma": "a comma is read as the decimal point",
    "thousands": "thousands separators are removed",
    "clock": "clock times are converted to seconds",
    "date": "dates are converted to seconds since 1970, in UTC unless they name a zone",
}


class Column(NamedTuple):
    """A block of one column: `[n]` numbers, and the names in `KINDS` of how they were read."""

    values: np.ndarray
    kinds: frozenset[str]


def read_cells(cells: Sequence[str], *, comma: bool) -> Column | int:
    """Return cells as numbers, or the index of the first cell that is not one.

    `comma`: a lone comma is the decimal point, as in files with another separator.
    Empty cells become NaN.
    """
    try:
        # float() would read 1_2 as 12.
        if "_" not in "".join(cells):
            return Column(np.array(list(map(float, cells))), frozenset({"number"}))
    except ValueError:
        pass
    values, kinds = np.empty(len(cells)), set()
    for i, cell in enumerate(cells):
        found = _read_cell(cell.strip(), comma)
        if found is None or len({_family(k) for k in {*kinds, found[1]} - {"blank"}}) > 1:
            return i
        values[i] = found[0]
        kinds.add(found[1])
    return Column(values, frozenset(kinds))


def same_family(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two blocks of a column are both numbers, both clock times or both dates."""
    return len({_family(kind) for kind in (a | b) - {"blank"}}) <= 1


def is_number(cell: str, *, comma: bool) -> bool:
    """Whether a cell holds a number, a clock time or a date."""
    found = _read_cell(cell.strip(), comma)
    return found is not None and found[1] != "blank"


def _family(kind: str) -> str:
    return kind if kind in ("clock", "date") else "number"


def _read_cell(cell: str, comma: bool) -> tuple[float, str] | None:
    low = cell.lower()
    if low in BLANK:
        return np.nan, "blank"
    if low in BOOLEANS:
        return BOOLEANS[low], "number"
    if comma and cell.count(",") == 1:
        return _float(cell.replace(".", "").replace(",", "."), "comma")
    if THOUSANDS.fullmatch(cell):
        return _float(cell.replace(",", ""), "thousands")
    clock = CLOCK.fullmatch(cell)
    if clock:
        hours, minutes, seconds = clock.groups(default="0")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", ".")), "clock"
    return _float(cell, "number") or _date(cell)


def _float(cell: str, kind: str) -> tuple[float, str] | None:
    try:
        return (float(cell), kind) if "_" not in cell else None
    except ValueError:
        return None


def _date(cell: str) -> tuple[float, str] | None:
    try:
        moment = datetime.fromisoformat(cell.replace("/", "-"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp(), "date"
