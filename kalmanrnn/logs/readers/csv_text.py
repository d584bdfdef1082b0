"""The text of a CSV file as rows of cells: encoding, separator and header."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.readers.csv_cells import is_number

LONGEST_LINE_BYTES = 1 << 20
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SEPARATORS = {",": "", ";": "semicolons", "\t": "tabs", " ": "spaces"}
NO_HEADER = ("it has not even a header", "check how it was recorded")
AS_UTF8, ONE_A_LINE = "save it as CSV in UTF-8", "save it as CSV, one reading per line"

Row = tuple[int, list[str]]


class Header(NamedTuple):
    """The first rows. names: columns; units: by name; rows: data rows already read."""

    names: list[str]
    units: dict[str, str]
    rows: list[Row]
    notes: list[str]


def detect_encoding(path: Path) -> tuple[str, list[str]]:
    """Detect the encoding by the first bytes, else by trying to decode the file."""
    with path.open("rb") as file:
        start = file.read(LONGEST_LINE_BYTES)
        for mark, encoding in BOMS.items():
            if start.startswith(mark):
                return encoding, [] if encoding == "utf-8-sig" else [f"read as {encoding}"]
        endless = len(start) == LONGEST_LINE_BYTES and b"\n" not in start and b"\r" not in start
        for wrong, what, why, cure in (
            (not start.strip(), "is empty", *NO_HEADER),
            (b"\0" in start, "is not a text file", "it contains zero bytes", AS_UTF8),
            (endless, "is not a table", "its first line never ends", ONE_A_LINE),
        ):
            if wrong:
                raise UserError(f"{path.name} {what}", why=why, cure=cure)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(start)
            for part in iter(partial(file.read, 1 << 20), b""):
                decoder.decode(part)
        except UnicodeDecodeError:
            return "latin-1", ["not UTF-8; read as latin-1"]
    return "utf-8", []


def detect_dialect(file: TextIO) -> tuple[str, bool]:
    """Return the separator, and whether a comma may be the decimal point."""
    lines = [line for line in islice(file, 20) if line.strip()]
    header = lines[0] if lines else ""
    separator = max(";\t,", key=header.count)
    if separator not in header:
        separator = " " if len(header.split()) > 1 else ","
    return separator, separator != "," and any("," in line for line in lines[1:])


def read_rows(file: Iterable[str], separator: str) -> Iterator[Row]:
    """Yield the line number and cells of each line that is not empty."""
    if separator == " ":
        yield from ((i, cells) for i, line in enumerate(file, 1) if (cells := line.split()))
        return
    reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
    for cells in reader:
        if any(map(str.strip, cells)):
            yield reader.line_num, cells


def read_header(name: str, rows: Iterator[Row], comma: bool) -> Header:
    """Read the header, a row of units below it, and the first row of numbers."""
    _, header = next(rows, (0, []))
    if header and header[0].startswith("sep="):
        # A line only for Excel.
        _, header = next(rows, (0, []))
    if not header:
        raise UserError(f"{name} is empty", why=NO_HEADER[0], cure=NO_HEADER[1])
    second = next(rows, None)
    numeric = partial(is_number, comma=comma)
    if all(map(numeric, header)):
        names = [f"column_{i + 1}" for i in range(len(header))]
        early = [(1, header), *([second] if second else [])]
        return Header(names, {}, early, [f"no header: columns are named column_1 to {names[-1]}"])
    names = [cell.strip() for cell in header]
    names[0] = names[0].lstrip("#% ") or names[0]
    while names and not names[-1]:
        names.pop()
    names, notes = _distinct(names), []
    if second and not any(map(numeric, second[1])) and any(c.strip() for c in second[1]):
        third = next(rows, None)
        if third and any(map(numeric, third[1])):
            units = {n: c.strip(" []()") for n, c in zip(names, second[1], strict=False)}
            listed = ", ".join(u for u in units.values() if u)[:80]
            return Header(names, units, [third], [f"line {second[0]} is read as units ({listed})"])
        return Header(names, {}, [second, *([third] if third else [])], notes)
    return Header(names, {}, [second] if second else [], notes)


def _distinct(names: list[str]) -> list[str]:
    """Add the column number to names that are missing or repeated."""
    seen: set[str] = set()
    found = []
    for i, name in enumerate(names):
        name = name if name and name not in seen else f"{name or 'column'}_{i + 1}"
        seen.add(name)
        found.append(name)
    return found
