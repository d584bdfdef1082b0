"""From sensors with their own rates to events and the ticks between them; numpy only."""

from __future__ import annotations

import numpy as np


def thin(t: np.ndarray, min_interval_s: float) -> np.ndarray:
    """Return indices of times at least `min_interval_s` apart, the first included."""
    kept: list[int] = []
    for i, now in enumerate(t):
        # Stamps in decimals: 0.30 - 0.15 must not fall short of 0.15.
        if not kept or now - t[kept[-1]] >= min_interval_s - 1e-6:
            kept.append(i)
    return np.array(kept, int)


def regularise_stamps(t: np.ndarray, period_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Fit an even clock to jittery stamps; return times on it, and epochs.

    A receiver measures at even intervals; only the logging of its messages jitters. Rate and
    phase are fitted by least squares, so the mean delay does not change.
    """
    epoch, clock = np.zeros(len(t)), t[0]
    for i in range(1, len(t)):
        ahead = np.round((t[i] - clock) / period_s)
        # Follow a tenth of each stamp's error: the clock's own rate differs by parts in 1e5.
        clock += ahead * period_s
        clock += 0.1 * (t[i] - clock)
        epoch[i] = epoch[i - 1] + ahead
    for _ in range(2):
        rate, start = np.polyfit(epoch, t - t[0], 1)
        even = t[0] + start + rate * epoch
        epoch = epoch + np.round((t - even) / period_s)
    return even, epoch


# Of a period: a gap that misses two periods by jitter counts as one.
GAP_SLACK = 0.1


def fill_gaps(t: np.ndarray, period_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Insert unseen events a period apart into gaps of two periods or more; causal.

    Return event times `[E]` and whether each is one of `t`. Ticks per event then stay bounded,
    and a student meets a gap as it does in simulated drives: as events at which nothing is seen.
    The last interval in a gap is about one to two periods long.
    """
    extra = np.maximum(0, (np.diff(t) / period_s + GAP_SLACK).astype(int) - 1)
    inner = [start + period_s * np.arange(n + 1) for start, n in zip(t[:-1], extra, strict=True)]
    times = np.concatenate([*inner, t[-1:]])
    seen = np.zeros(len(times), bool)
    seen[np.concatenate([[0], np.cumsum(extra + 1)])] = True
    return times, seen


def merge_times(times: list[np.ndarray], tolerance_s: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Merge sensors' times; return event times `[E]` and the event of each sensor's readings.

    A reading joins the event that began at most `tolerance_s` before it, else it begins one;
    of two readings of one sensor the later begins its own.
    """
    every = np.concatenate(times)
    sensor = np.repeat(np.arange(len(times)), [len(t) for t in times])
    events: list[float] = []
    inside: set[int] = set()
    index = np.zeros(len(every), int)
    for i in np.argsort(every, kind="stable"):
        if not events or every[i] - events[-1] > tolerance_s or sensor[i] in inside:
            events.append(float(every[i]))
            inside = set()
        inside.add(int(sensor[i]))
        index[i] = len(events) - 1
    return np.array(events), [index[sensor == s] for s in range(len(times))]


def split_into_ticks(
    events: np.ndarray, t: np.ndarray, readings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Split readings `[n, U]` at times t into ticks; return inputs `[E, K, U]` and dt `[E, K]`.

    A tick runs from one reading to the next; one that an event falls into is split there, so
    that the ticks after an event add up to the time to the next. A tick's input is the mean of
    the readings at its ends (linear in between: the integral is the trapezoid's). Padding has
    dt = 0 and repeats no reading; the last event has no ticks.
    """
    inside = (t > events[0]) & (t < events[-1])
    edges = np.union1d(t[inside], events)
    ends = interpolate(edges, t, readings)
    inputs, dt = 0.5 * (ends[1:] + ends[:-1]), np.diff(edges)
    event = np.searchsorted(events, edges[:-1], side="right") - 1
    place = np.arange(len(event)) - np.searchsorted(event, event)
    shape = (len(events), place.max() + 1)
    u_cut, dt_cut = np.zeros((*shape, readings.shape[1])), np.zeros(shape)
    u_cut[event, place], dt_cut[event, place] = inputs, dt
    return u_cut, dt_cut


def interpolate(at: np.ndarray, t: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate `[n, c]` linearly at other times."""
    return np.stack([np.interp(at, t, column) for column in values.T], axis=-1)
