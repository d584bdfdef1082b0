"""Put the readings of several topics on one clock: choose stamps, cut to a window, sort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.mapping.schema import LogMap
from kalmanrnn.logs.mapping.values import suggest
from kalmanrnn.logs.readers.readings import Readings
from kalmanrnn.logs.recording.recording import Stream

# A clock that goes back further was reset; less is messages overtaking each other.
RESET_S = 1.0
# Headers of one log that differ by more are stamped by different clocks.
SAME_CLOCK_S = 1.0


class TimedTopic(NamedTuple):
    """One topic's readings on the map's clock, in log order, with finite times."""

    name: str
    type: str
    t: np.ndarray
    fields: dict[str, np.ndarray]
    frame: str = ""

    def column(self, field: str) -> np.ndarray:
        """Return a number field `[n]` or an array's element (`ranges[2]`); UserError if missing."""
        whole, _, index = field.removesuffix("]").rpartition("[")
        if field in self.fields and self.fields[field].ndim == 1:
            return self.fields[field].astype(float)
        parts = self.fields.get(whole, np.zeros(0))
        if parts.ndim == 2 and index.isdigit() and int(index) < parts.shape[1]:
            return parts[:, int(index)].astype(float)
        known = [f if v.ndim == 1 else f"{f}[{v.shape[1] - 1}]" for f, v in self.fields.items()]
        raise UserError(
            f"{self.name}: no field {field!r}",
            why=f"its type is {self.type}",
            cure=suggest(field, known),
        )

    def columns(self, pattern: str, parts: Iterable[str]) -> np.ndarray:
        """Return `[n, k]`, the fields of a pattern formatted with each part."""
        return np.stack([self.column(pattern.format(part)) for part in parts], axis=-1)

    def select(self, keep: np.ndarray) -> TimedTopic:
        """Return the readings where `keep` is true."""
        fields = {name: values[keep] for name, values in self.fields.items()}
        return self._replace(t=self.t[keep], fields=fields)


def to_common_clock(
    readings: Mapping[str, Readings], log_map: LogMap
) -> tuple[dict[str, TimedTopic], list[str]]:
    """Put all topics on one clock and cut them to the map's window; notes say what was done."""
    header, notes = _use_header_stamps(readings, log_map)
    starts = [r.log_t[np.isfinite(r.log_t)] for r in readings.values()]
    start = min((float(t[0]) for t in starts if len(t)), default=0.0)
    timed = {}
    for name, r in readings.items():
        stamped = header and r.stamp_t is not None
        t = r.stamp_t if header and r.stamp_t is not None else r.log_t
        keep = np.isfinite(t) & np.isfinite(r.log_t)
        if not keep.all():
            notes.append(f"{name}: {(~keep).sum()} readings without a time dropped")
        # Seconds since the log's start, continued over a clock that is set back.
        steps = np.diff(r.log_t, prepend=r.log_t[:1])
        elapsed = r.log_t - start + np.cumsum(np.where(steps < -RESET_S, -steps, 0.0))
        end = log_map.window.end_s or np.inf
        keep &= (elapsed >= log_map.window.start_s) & (elapsed <= end)
        if log_map.max_delay_s and r.stamp_t is not None:
            late = keep & (r.log_t - r.stamp_t > log_map.max_delay_s)
            keep &= ~late
            if late.any():
                notes.append(
                    f"{name}: {late.sum()} of {len(t)} readings dropped, recorded more than "
                    f"{log_map.max_delay_s:g} s after their stamp"
                )
        if not keep.any():
            raise UserError(
                f"{name}: none of its {len(t)} readings is left",
                why=f"the window is {log_map.window.start_s:g} to {end:g} s"
                + (", and max_delay_s applies" if log_map.max_delay_s else ""),
                cure="widen `window` or `max_delay_s` in the map; see kalmanrnn inspect LOG",
            )
        log_helps = stamped and not (np.diff(r.log_t[keep]) < -RESET_S).any()
        _check_order(name, t, elapsed, keep, log_helps)
        timed[name] = TimedTopic(name, r.topic.type, t, r.fields, r.frame).select(keep)
    return timed, notes


def clean(stream: Stream, name: str = "") -> tuple[Stream, list[str]]:
    """Sort, drop repeated and non-finite readings, note it; UserError if nothing is left."""
    name = f"{name}, {stream.name}" if name else stream.name
    notes = []
    finite = np.asarray(np.isfinite(stream.values).all(axis=1))
    if not finite.all():
        notes.append(f"{name}: {(~finite).sum()} readings that are not finite dropped")
    stream = _select(stream, finite)
    back = int((np.diff(stream.t) < 0).sum())
    if back:
        stream = _select(stream, np.argsort(stream.t, kind="stable"))
        notes.append(f"{name}: {back} readings out of order, sorted by time")
    new = np.ones(len(stream.t), bool)
    new[1:] = np.diff(stream.t) > 0
    if not new.all():
        notes.append(f"{name}: {(~new).sum()} readings at a repeated time dropped")
    stream = _select(stream, new)
    if not len(stream.t):
        raise UserError(
            f"{name}: no reading is left",
            why="; ".join(notes) or "the log has none",
            cure="check its section and `window` in the map; see kalmanrnn inspect LOG",
        )
    return stream, notes


def _select(stream: Stream, keep: np.ndarray) -> Stream:
    variance = None if stream.variance is None else stream.variance[keep]
    return stream._replace(t=stream.t[keep], values=stream.values[keep], variance=variance)


def _use_header_stamps(readings: Mapping[str, Readings], log_map: LogMap) -> tuple[bool, list[str]]:
    """Return whether to use header stamps: as the map says, else if they are plausible."""
    stamped = {name: r.stamp_t for name, r in readings.items() if r.stamp_t is not None}
    if log_map.clock or not stamped:
        return log_map.clock != "log", []
    unset = [name for name, t in stamped.items() if not (t > 0).all()]
    if unset:
        return False, [f"{', '.join(unset)}: headers without a stamp, so log time is used"]
    late = {n: float(np.median(r.log_t - stamped.get(n, r.log_t))) for n, r in readings.items()}
    if max(late.values()) - min(late.values()) > SAME_CLOCK_S:
        delays = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in late.items())
        note = f"headers are stamped by different clocks ({delays} behind log time)"
        return False, [f"{note}, so log time is used"]
    return True, []


def _check_order(
    name: str, t: np.ndarray, elapsed: np.ndarray, keep: np.ndarray, log_helps: bool
) -> None:
    """Raise UserError where a clock was set back; `log_helps` if log time was not."""
    rows = np.flatnonzero(keep)
    jumps = np.flatnonzero(np.diff(t[keep]) < -RESET_S)
    if not jumps.size:
        return
    before, after = rows[jumps[0]], rows[jumps[0] + 1]
    # Half a second of margin: other topics' readings are at other times.
    end, start = np.floor(10 * elapsed[before] - 5) / 10, np.ceil(10 * elapsed[after] + 5) / 10
    cut = f"start_s: {start:g}" if before < len(t) // 2 else f"end_s: {end:g}"
    cut_there = f"cut there with `window: {{{cut}}}` in the map"
    raise UserError(
        f"{name}: time goes back by {t[before] - t[after]:.3f} s at reading {after + 1}, "
        f"{elapsed[before]:.3f} s after the log's start",
        why="its clock was reset, so times before and after cannot be compared",
        cure="add `clock: log` to the map: log time is in order" if log_helps else cut_there,
    )
