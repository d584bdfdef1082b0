"""CSV files as readings, one topic each; every repair is noted."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.readers.csv_cells import KINDS, Column, read_cells, same_family
from kalmanrnn.logs.readers.csv_text import (
    SEPARATORS,
    Header,
    Row,
    detect_dialect,
    detect_encoding,
    read_header,
    read_rows,
)
from kalmanrnn.logs.readers.csv_time import find_time
from kalmanrnn.logs.readers.readings import Readings, Source, Topic

# Small blocks keep few cells alive: twice as fast as blocks of 20,000 rows.
BLOCK = 1_000
SAMPLE = 64


def open_csv(path: Path, files: Sequence[Path]) -> Source:
    """Read CSV files and keep their numbers.

    A damaged file in a folder is refused only when it is asked for: a drive may not need it.
    """
    contents: dict[str, Readings | UserError] = {}
    notes = []
    for file in files:
        try:
            contents[file.name], more = _read_file(file)
            notes += [f"{file.name}: {note}" for note in more]
        except UserError as problem:
            contents[file.name] = problem
            notes.append(f"{file.name} cannot be read: {problem.what}")
    failed = [problem for problem in contents.values() if isinstance(problem, UserError)]
    if len(failed) == len(contents):
        raise failed[0]
    topics = tuple(
        Topic(name, "csv", 0) if isinstance(r, UserError) else r.topic
        for name, r in contents.items()
    )
    return Source(str(path), "csv", topics, partial(_read, contents), tuple(notes))


def _read(
    contents: dict[str, Readings | UserError],
    names: Sequence[str],
    progress: Callable[[int, int], None],
) -> list[Readings]:
    found = []
    for readings in map(contents.__getitem__, names):
        if isinstance(readings, UserError):
            raise readings
        found.append(readings)
    total = sum(r.topic.count for r in found)
    progress(total, total)
    return found


def _read_file(path: Path) -> tuple[Readings, list[str]]:
    encoding, notes = detect_encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            separator, comma = detect_dialect(file)
            if SEPARATORS[separator]:
                notes.append(f"columns are separated by {SEPARATORS[separator]}")
            file.seek(0)
            return _read_rows(path.name, read_rows(file, separator), comma, notes)
    except (OSError, UnicodeError, csv.Error) as problem:
        raise UserError(
            f"cannot read {path}",
            why=f"{type(problem).__name__}: {problem}"[:160],
            cure="save it as CSV in UTF-8",
        ) from None


def _read_rows(
    name: str, rows: Iterator[Row], comma: bool, notes: list[str]
) -> tuple[Readings, list[str]]:
    header = read_header(name, rows, comma)
    notes = [*notes, *header.notes]
    blocks: dict[str, list[Column]] = {}
    text: dict[str, str] = {}
    samples: dict[str, Sequence[str]] = {}
    rows = chain(header.rows, rows)
    while block := list(islice(rows, BLOCK)):
        block = _check_width(name, block, rows, len(header.names), notes)
        if not block:
            break
        cells = dict(zip(header.names, zip(*(row for _, row in block), strict=True), strict=True))
        samples = samples or {n: c[:SAMPLE] for n, c in cells.items()}
        for column in [c for c in header.names if c not in text]:
            found = read_cells(cells[column], comma=comma)
            if isinstance(found, Column):
                blocks.setdefault(column, []).append(found)
            else:
                cell, line = cells[column][found].strip(), block[found][0]
                text[column] = f"{cell[:40]!r} in line {line}"
    return _assemble(name, header, blocks, text, samples, notes)


def _check_width(
    name: str, block: list[Row], rows: Iterator[Row], width: int, notes: list[str]
) -> list[Row]:
    """Refuse rows of another length; trim empty cells at the end, drop an incomplete last row."""
    for i, (line, cells) in enumerate(block):
        if len(cells) == width:
            continue
        if len(cells) > width and not any(c.strip() for c in cells[width:]):
            block[i] = (line, cells[:width])
            continue
        if len(cells) < width and i == len(block) - 1 and next(rows, None) is None:
            notes.append(f"line {line}, the last, is incomplete and dropped")
            return block[:-1]
        raise UserError(
            f"{name} line {line}: {len(cells)} cells, but the header has {width}",
            why="a row of another length cannot be matched with the columns",
            cure=f"fix or remove line {line}",
        )
    return block


def _assemble(
    name: str,
    header: Header,
    blocks: dict[str, list[Column]],
    text: dict[str, str],
    samples: dict[str, Sequence[str]],
    notes: list[str],
) -> tuple[Readings, list[str]]:
    """Join the blocks' columns and find the time column."""
    columns: dict[str, np.ndarray] = {}
    kinds: dict[str, frozenset[str]] = {}
    for column, parts in blocks.items():
        if column in text:
            continue
        if not all(same_family(parts[0].kinds, p.kinds) for p in parts):
            text[column] = "a mixture of numbers, clock times and dates"
            continue
        columns[column] = np.concatenate([p.values for p in parts])
        kinds[column] = frozenset().union(*(p.kinds for p in parts))
    if not columns:
        raise UserError(
            f"{name} has no numeric column",
            why="; ".join(f"{c}: {t}" for c, t in text.items())[:160] or "it has no rows",
            cure="check how it was recorded",
        )
    t, more = find_time(name, columns, header.units, text, samples, kinds)
    for kind in KINDS:
        having = [c for c in columns if kind in kinds[c]]
        if KINDS[kind] and having:
            notes.append(f"{KINDS[kind]} ({', '.join(having)})")
    notes += [f"column {c} is dropped: {reason} is not a number" for c, reason in text.items()]
    topic = Topic(name, "csv", len(t))
    return Readings(topic, t, None, columns, dropped=text), [*notes, *more]
