"""Measure and check a topic's timing: rates, gaps, clocks; pure functions, numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.logs.topics import choose_clock, times
from kalmanrnn.logs.readers.readings import Readings

GAP_FACTOR = 1.8
# Gaps in a larger share of the steps mean uneven timing.
UNEVEN = 0.03
# Longer gaps, in periods and seconds, are more than a late message.
LONG_GAP, LONG_GAP_S = 5.0, 0.1
# A larger offset between header and log time is not a message's delay [s].
MAX_OFFSET_S = 1.0
DRIFT = 1e-3


class TopicTiming(NamedTuple):
    """The timing of a topic's messages, on the clock that is used.

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
    """Log time minus header time: median, drift [s/s], spread about that line [s]."""

    median_s: float
    drift: float
    spread_s: float


def measure_timing(readings: Readings, zero: float) -> TopicTiming:
    """Measure a topic's timing; `gap_at` counts from `zero`."""
    clock = choose_clock(readings)
    t = times(readings, clock)
    t = np.sort(t[np.isfinite(t)])
    if len(t) < 2 or t[-1] <= t[0]:
        at = float(t[0]) if len(t) else np.nan
        return TopicTiming(clock, at, at, np.nan, 0, np.nan, np.nan)
    steps = np.diff(t)
    # Two messages may share a stamp; the rate is that of distinct stamps.
    median_step = float(np.median(steps[steps > 0]))
    longest = int(np.argmax(steps))
    return TopicTiming(
        clock=clock,
        start=float(t[0]),
        end=float(t[-1]),
        rate_hz=1 / median_step,
        gaps=int((steps > GAP_FACTOR * median_step).sum()),
        gap_s=float(steps[longest]),
        gap_at=float(t[longest] - zero),
    )


def measure_offset(readings: Readings) -> ClockOffset | None:
    """Compare header with log time; None if there are not two clocks."""
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
    """Check one topic's stamps: missing, zero, repeated, backwards."""
    name, stamps, found = readings.topic.name, readings.stamp_t, []
    if stamps is not None and len(stamps):
        zero = int((~np.isfinite(stamps) | (stamps <= 0)).sum())
        what = "headers without a time" if zero else "header time does not advance"
        evidence = f"{(np.diff(stamps) <= 0).sum()} of {len(stamps) - 1} steps"
        if zero:
            evidence = f"{zero} of {len(stamps)} stamps are zero or not a number"
        if zero or choose_clock(readings) == "log":
            found.append(Finding("error", name, what, evidence, command="clock: log"))
    steps = np.diff(times(readings))
    twice, back = int((steps == 0).sum()), int((steps < 0).sum())
    if twice:
        evidence, cure = f"{twice} of {len(steps) + 1}", "import keeps the first of each"
        found.append(Finding("note", name, "messages with the same stamp", evidence, cure))
    if back:
        what = "stamps out of order"
        evidence = f"{back} go back, by up to {-steps.min():.3g} s"
        few = back < 0.01 * len(steps)
        how = {"cure": "import sorts them"} if few else {"command": "clock: log"}
        found.append(Finding("error", name, what, evidence, **how))
    return found


def check_gaps(readings: Readings, timing: TopicTiming) -> Finding | None:
    """Check the longest step of a topic; None if it is not a gap."""
    if not timing.gaps:
        return None
    median_step = 1 / timing.rate_hz
    long = timing.gap_s > max(LONG_GAP * median_step, LONG_GAP_S)
    evidence = (
        f"{timing.gaps} steps above {GAP_FACTOR:g} x {median_step:.3g} s, "
        f"the longest {timing.gap_s:.2g} s, {timing.gap_at:.1f} s into the log"
    )
    kind = "long gaps" if long else "gaps"
    if not long and timing.gaps > UNEVEN * len(readings.log_t):
        kind = "uneven, with steps"
    what = f"{kind} up to {timing.gap_s:.2g} s"
    name = readings.topic.name
    if not long:
        return Finding("note", name, what, evidence)
    cure = "import only one side of the gap if a drive must not cross it"
    return Finding("error", name, what, evidence, cure, "window: {start_s: ..., end_s: ...}")


def check_clock(readings: Readings, offset: ClockOffset) -> Finding | None:
    """Check header time against log time; None if they agree."""
    name = readings.topic.name
    evidence = (
        f"log time is {offset.median_s:+.3f} s from header time, drifting "
        f"{1e6 * offset.drift:+.0f} ppm, jitter {1e3 * offset.spread_s:.1f} ms"
    )
    if abs(offset.drift) > DRIFT:
        what = "header time drifts from log time"
        return Finding("error", name, what, evidence, command="clock: log")
    if abs(offset.median_s) > MAX_OFFSET_S:
        what = "header time and log time are different clocks"
        cure = "unless all topics share that clock"
        return Finding("note", name, what, evidence, cure, "clock: log")
    if offset.median_s < -1e-3:
        what = "headers are from the future"
        return Finding("note", name, what, evidence, command="clock: log")
    return None


def check_overlap(readings: Sequence[Readings]) -> Finding | None:
    """Check that topics overlap in time; None if they do."""
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
        "no overlap in time",
        f"{a} ends at {spans[early][1]:.3f} s, {b} starts at {spans[late][0]:.3f} s"
        + ("; in log time they do overlap" if together else ""),
        "" if together else "stamp them by one clock, or set delay_s of one of them",
        "clock: log" if together else "",
    )


def _span(t: np.ndarray) -> tuple[float, float]:
    return float(np.nanmin(t)), float(np.nanmax(t))
