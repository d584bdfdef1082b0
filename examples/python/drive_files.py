"""Read a drive's three CSV files and print estimates; README.md says what is in them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

Event = tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def read_events(drive: Path) -> list[Event]:
    """Return each event's t, z `[Z]`, seen `[S]`, and its own ticks' u `[k, U]` and dt `[k]`.

    Places are kept in float64: they may be far from the origin.
    """
    header, rows = read(drive / "events.csv")
    columns, ticks = read(drive / "ticks.csv")
    of_event: dict[float, list[list[str]]] = {}
    for row in ticks:
        of_event.setdefault(float(row[0]), []).append(row[1:])
    unknown = sorted(set(of_event) - {float(row[0]) for row in rows})
    if unknown:
        sys.exit(f"ticks.csv: there is no event at t = {unknown[0]} in events.csv")
    seen = [i for i, name in enumerate(header) if name.startswith("seen_")]
    readings = [i for i, name in enumerate(header) if name.startswith("z_")]
    events = []
    for row in rows:
        own = np.array(of_event.get(float(row[0]), []), np.float32).reshape(-1, len(columns) - 1)
        z = np.array([row[i] for i in readings], float)
        flags = np.array([float(row[i]) != 0 for i in seen])
        events.append((row[0], z, flags, own[:, 1:], own[:, 0]))
    return events


def read_start(drive: Path) -> np.ndarray:
    """Return the state that the estimate starts from."""
    return np.array(read(drive / "start.csv")[1][0], float)


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return a table's header and rows."""
    with open(path, newline="") as file:
        header, *rows = [row for row in csv.reader(file) if row]
    return header, rows


def print_estimates(estimates: Iterable[tuple[str, np.ndarray]]) -> None:
    """Print times and states as CSV."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    for i, (t, mean) in enumerate(estimates):
        if i == 0:
            out.writerow(["t", *(f"mean_{k}" for k in range(len(mean)))])
        out.writerow([t, *(f"{x:.9g}" for x in mean)])
