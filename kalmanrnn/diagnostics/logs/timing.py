"""When a topic's messages came: rates, gaps, clocks; facts and pure judgements, numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.logs.topics import choose_clock, times
from kalmanrnn.logs.readers.readings import Readings

GAP_FACTOR = 1.8
# More of them than that share of the steps is a habit.
UNEVEN = 0.03
# A gap this long, in periods, is more than a late message.
LONG_GAP, LONG_GAP_S = 5.0, 0.1
# Offsets of header and log time that differ by more are no delay of a message [s].
MAX_OFFSET_S = 1.0
DRIFT = 1e-3


class TopicTiming(NamedTuple):
    """How a topic's messages follow each other, on the clock that is used.

    clock: "header" or "log". start, end: seconds. rate_hz: of the median step; NaN below two
    messages. gaps: steps above 1.8 medians; gap_s, gap_at: the longest step, and when it began
    after the log's first message.
    """

    clock: str
    start: float
    end: float
    rate_hz: float
    gaps: int
    gap_s: float
    gap_at: float


class ClockOffset(NamedTuple):
    """Log time less header time: median, its drift [s/s], its spread about that line [s]."""

    median_s: float
    drift: float
    spread_s: float


def measure_timing(readings: Readings, zero: float) -> TopicTiming:
    """Measure a topic; `zero` is what `gap_at` counts from."""
    clock = choose_clock(readings)
    t = times(readings, clock)
    t = np.sort(t[np.isfinite(t)])
    if len(t) < 2 or t[-1] <= t[0]:
        at = float(t[0]) if len(t) else np.nan
        return TopicTiming(clock, at, at, np.nan, 0, np.nan, np.nan)
    steps = np.diff(t)
    # Two messages may bear one stamp; a rate is that of those that differ.
    usual = float(np.median(steps[steps > 0]))
    longest = int(np.argmax(steps))
    return TopicTiming(
        clock=clock,
        start=float(t[0]),
        end=float(t[-1]),
        rate_hz=1 / usual,
        gaps=int((steps > GAP_FACTOR * usual).sum()),
        gap_s=float(steps[longest]),
        gap_at=float(t[longest] - zero),
    )


def measure_offset(readings: Readings) -> ClockOffset | None:
    """Compare header with log time; None where there are not two clocks."""
    if readings.stamp_t is None or choose_clock(readings) == "log" or len(readings.log_t) < 3:
        return None
    t, late = readings.log_t - readings.log_t[0], readings.log_t - readings.stamp_t
    good = np.isfinite(late) & np.isfinite(t)
    if good.sum() < 3 or not np.ptp(t[good]) > 0:
        return None
    drift, start = np.polyfit(t[good], late[good] - late[good][0], 1)
    off = late[good] - late[good][0] - start - drift * t[good]
    return ClockOffset(float(np.median(late[good])), float(drift), float(np.std(off)))


def check_stamps(readings: Readings) -> list[Finding]:
    """Judge one topic's stamps: missing, zero, twice, backwards."""
    name, stamps, found = readings.topic.name, readings.stamp_t, []
    if stamps is not None and len(stamps):
        zero = int((~np.isfinite(stamps) | (stamps <= 0)).sum())
        if zero:
            what = "headers without a time"
            evidence = f"{zero} of {len(stamps)} stamps are zero or no number"
            found.append(Finding("error", name, what, evidence, command="clock: log"))
        elif choose_clock(readings) == "log":
            same = int((np.diff(stamps) <= 0).sum())
            what = "header time does not move on"
            evidence = f"{same} of {len(stamps) - 1} steps do not"
            found.append(Finding("error", name, what, evidence, command="clock: log"))
    steps = np.diff(times(readings))
    twice, back = int((steps == 0).sum()), int((steps < 0).sum())
    if twice:
        what = "messages with the same stamp"
        evidence = f"{twice} of {len(steps) + 1}"
        found.append(Finding("note", name, what, evidence, "import keeps the first of each"))
    if back:
        what = "stamps out of order"
        evidence = f"{back} go back, by up to {-steps.min():.3g} s"
        few = back < 0.01 * len(steps)
        how = {"cure": "import sorts them"} if few else {"command": "clock: log"}
        found.append(Finding("error", name, what, evidence, **how))
    return found


def check_gaps(readings: Readings, timings: TopicTiming) -> Finding | None:
    """Judge the longest step of a topic; None where it is no gap."""
    usual = 1 / timings.rate_hz
    if not timings.gaps:
        return None
    long = timings.gap_s > max(LONG_GAP * usual, LONG_GAP_S)
    evidence = (
        f"{timings.gaps} steps above {GAP_FACTOR:g} x {usual:.3g} s, the longest {timings.gap_s:.2g} s, "
        f"{timings.gap_at:.1f} s into the log"
    )
    kind = "long gaps" if long else "gaps"
    if not long and timings.gaps > UNEVEN * len(readings.log_t):
        kind = "uneven, with steps"
    what = f"{kind} up to {timings.gap_s:.2g} s"
    name = readings.topic.name
    if not long:
        return Finding("note", name, what, evidence)
    cure = "import one side of it, if a drive should not cross it"
    return Finding("error", name, what, evidence, cure, "window: {start_s: ..., end_s: ...}")


def check_clock(readings: Readings, offset: ClockOffset) -> Finding | None:
    """Judge header time against log time; None where they belong together."""
    name = readings.topic.name
    evidence = (
        f"log time is {offset.median_s:+.3f} s from header time, drifting "
        f"{1e6 * offset.drift:+.0f} ppm, jitter {1e3 * offset.spread_s:.1f} ms"
    )
    if abs(offset.drift) > DRIFT:
        what = "header time drifts from log time"
        return Finding("error", name, what, evidence, command="clock: log")
    if abs(offset.median_s) > MAX_OFFSET_S:
        what = "header time is another clock than log time"
        return Finding(
            "note", name, what, evidence, "unless all topics share that clock", "clock: log"
        )
    if offset.median_s < -1e-3:
        what = "headers are from the future"
        return Finding("note", name, what, evidence, command="clock: log")
    return None


def check_overlap(readings: Sequence[Readings]) -> Finding | None:
    """Judge whether topics that must go together overlap in time; None where they do."""
    filled = [r for r in readings if np.isfinite(times(r)).any()]
    if len(filled) < 2:
        return None
    spans = [_span(times(r)) for r in filled]
    late = max(range(len(spans)), key=lambda i: spans[i][0])
    early = min(range(len(spans)), key=lambda i: spans[i][1])
    if spans[late][0] < spans[early][1]:
        return None
    logged = [_span(r.log_t) for r in filled if np.isfinite(r.log_t).any()]
    together = max(s for s, _ in logged) < min(e for _, e in logged)
    a, b = filled[early].topic.name, filled[late].topic.name
    return Finding(
        "error",
        f"{a}, {b}",
        "they do not overlap in time",
        f"{a} ends at {spans[early][1]:.3f} s, {b} begins at {spans[late][0]:.3f} s"
        + ("; by log time they do overlap" if together else ""),
        "" if together else "stamp them by one clock, or set delay_s of one of them",
        "clock: log" if together else "",
    )


def _span(t: np.ndarray) -> tuple[float, float]:
    return float(np.nanmin(t)), float(np.nanmax(t))
