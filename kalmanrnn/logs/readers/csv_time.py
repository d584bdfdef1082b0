"""Find the time column of a CSV file and convert it to seconds; numpy only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from kalmanrnn.core.errors import UserError

NAMES = ("t", "time", "timestamp", "stamp", "log_t", "timestamps", "times")
LATER_NAMES = ("seconds", "secs", "sec", "elapsed", "elapsed_time", "datetime", "utc", "epoch")
UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "µs", "micros", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanoseconds"), 1e-9),
}
UNIT_NAMES = {1.0: "seconds", 1e-3: "milliseconds", 1e-6: "microseconds", 1e-9: "nanoseconds"}
# Integers: the smallest Unix time in a unit, and the smallest step between readings.
UNIX = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e8, 1.0))
STEPS = ((1.1e6, 1e-9), (2e3, 1e-6), (2.0, 1e-3), (0.0, 1.0))
ROUNDED = re.compile(r"\d(\.\d{0,5})?[eE]\+?\d+")


def find_time(
    file: str,
    columns: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    text: Mapping[str, str],
    samples: Mapping[str, Sequence[str]],
    kinds: Mapping[str, frozenset[str]],
) -> tuple[np.ndarray, list[str]]:
    """Return seconds `[n]` and notes; row numbers if no column is a time.

    units: from a second header row. text: dropped columns -> the cell that is not a number.
    samples: first cells as written; kinds: how they were read. UserError if the column named as
    time cannot be read or has lost its decimals.
    """
    pair = _sec_nsec(columns)
    for names in (NAMES, () if pair else LATER_NAMES):
        found = _named([*columns, *text], names)
        if found in text:
            raise UserError(
                f"{file}: {text[found]!r} in column {found!r} is not a time",
                why="by its name the column is the time",
                cure="write times in seconds, as numbers with 6 decimals",
            )
        if found:
            _check(file, found, columns[found], samples[found], kinds[found])
            unwound = _unwrap(columns[found], kinds[found])
            return _to_seconds(found, unwound, units.get(found, ""), kinds[found])
    if pair:
        seconds, nanoseconds = pair
        note = f"time is {seconds} plus {nanoseconds}"
        return columns[seconds] + 1e-9 * columns[nanoseconds], [note]
    note = "no column is named as a time (t, time, timestamp): times are row numbers"
    return np.arange(len(next(iter(columns.values()), ())), dtype=float), [note]


def _split(name: str) -> tuple[str, str]:
    """Split a name from its unit: `Time [ms]`, `t_us`, `timestamp (s)`."""
    low = name.lower().strip()
    bracket = re.fullmatch(r"(.*?)\s*[\[(](.*?)[\])]", low)
    if bracket:
        return bracket[1].strip(), bracket[2].strip()
    base, _, unit = low.rpartition("_")
    return (base, unit) if base and unit in UNITS else (low, "")


def _named(columns: Sequence[str], names: Sequence[str]) -> str:
    bases = [(column, _split(column)[0]) for column in columns]
    # Else by the end of a message field's path, as rostopic echo -p writes it.
    ends = [(column, base.rpartition(".")[2]) for column, base in bases]
    every = (column for those in (bases, ends) for n in names for column, b in those if b == n)
    return next(every, "")


def _sec_nsec(columns: Mapping[str, np.ndarray]) -> tuple[str, str] | None:
    for name in columns:
        whole = re.fullmatch(r"(.*?)(sec|secs|seconds)", name.lower())
        for other in columns if whole else ():
            part = re.fullmatch(r"(.*?)(nsec|nsecs|nanosec|nanosecs|nanoseconds)", other.lower())
            if whole and part and whole[1] == part[1]:
                return name, other
    return None


def _check(
    file: str, name: str, t: np.ndarray, sample: Sequence[str], kinds: frozenset[str]
) -> None:
    missing = np.flatnonzero(~np.isfinite(t))
    if missing.size:
        raise UserError(
            f"{file}: {missing.size} rows have no time, the first is data row {missing[0] + 1}",
            why=f"column {name!r} is empty or not finite there",
            cure="remove these rows or fill in their times",
        )
    mangled = kinds & {"clock", "date"} or any(ROUNDED.fullmatch(c.strip()) for c in sample)
    if len(t) >= 4 and mangled and len(np.unique(t)) <= 0.5 * len(t):
        raise UserError(
            f"{file}: column {name!r} has lost its decimals, {len(t)} rows share "
            f"{len(np.unique(t))} times",
            why=f"a spreadsheet has rounded it, as in {sample[0].strip()!r}",
            cure=f"in the original, format {name} as a number with 6 decimals and save it again",
        )


def _unwrap(t: np.ndarray, kinds: frozenset[str]) -> np.ndarray:
    """Unwrap a clock that restarts: minutes at the hour, hours at midnight."""
    if "clock" not in kinds:
        return t
    turn = 86400.0 if t.max() >= 3600.0 else 3600.0
    return t + turn * np.concatenate([[0.0], np.cumsum(np.diff(t) < -0.5 * turn)])


def _to_seconds(
    name: str, t: np.ndarray, unit: str, kinds: frozenset[str]
) -> tuple[np.ndarray, list[str]]:
    unit = _split(name)[1] or unit.lower().strip()
    if kinds & {"clock", "date"}:
        return t, [f"time is {name}"]
    if unit in UNITS:
        scale = UNITS[unit]
        return t * scale, [] if scale == 1 else [f"time is {name}, in {UNIT_NAMES[scale]}"]
    if len(t) < 2 or (t != np.round(t)).any():
        return t, []
    size, step = float(np.abs(t).max()), float(np.median(np.abs(np.diff(t))))
    by_size = next((scale for least, scale in UNIX if size >= least), None)
    scale = by_size or next(scale for least, scale in STEPS if step >= least)
    if by_size is None and scale == 1:
        return t, []
    by = "its size" if by_size else f"its steps of {step:g}"
    return t * scale, [
        f"time is {name}, integers, taken as {UNIT_NAMES[scale]} by {by}; "
        f"if that is wrong, put the unit in the column's name ({name}_us)"
    ]
