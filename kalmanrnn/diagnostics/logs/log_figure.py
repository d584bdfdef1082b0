"""Figure of a log: turn rates, forces, GPS track, message timing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kalmanrnn.diagnostics.figure_file import AXES, save_figure
from kalmanrnn.diagnostics.logs.checks import known_topics
from kalmanrnn.diagnostics.logs.facts import LogFacts, speed_of
from kalmanrnn.diagnostics.logs.gnss import to_enu
from kalmanrnn.diagnostics.logs.timing import GAP_FACTOR, TopicTiming
from kalmanrnn.diagnostics.logs.topics import GpsTopic, ImuTopic, times
from kalmanrnn.report.style import STYLE, WIDTH_IN, colour, frame, roomy

# More points than a page can show are drawn as the minimum and maximum of each bin.
BINS = 1500
GAP_COLOUR, HAVE_COLOUR = "#D55E00", "#0072B2"
MOST_TOPICS, MOST_MARKS = 16, 100


def draw_log(facts: LogFacts, path: Path) -> None:
    """Draw a panel per kind of sensor, and one on message timing."""
    with mpl.rc_context(STYLE):
        panels = _panels(facts)
        heights = [height for _, height, _ in panels]
        figure = Figure(figsize=(WIDTH_IN, sum(heights) + 0.5), layout="constrained")
        roomy(figure)
        mosaic: Any = [[names[0], names[-1]] for names, _, _ in panels]
        axes = figure.subplot_mosaic(mosaic, height_ratios=heights)
        for names, _, draws in panels:
            for name, function in zip(names, draws, strict=True):
                function(axes[name])
                if name != "track":
                    axes[name].set_xlim(0, max(facts.seconds, 1e-3))
        title = f"{Path(facts.source.path).name} ({facts.source.kind}), {facts.seconds:.1f} s"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        save_figure(figure, path)


def _panels(
    facts: LogFacts,
) -> list[tuple[tuple[str, ...], float, tuple[Callable[[Axes], None], ...]]]:
    """Return rows of panels: their names, the row's height [in], what draws each."""
    rows = []
    imu = facts.imus[0] if facts.imus else None
    gps = next((g for g in facts.gpses if g.fixed.any()), None)
    if imu is not None:
        for kind in ("gyro", "accel"):
            rows.append(((kind,), 1.9, (partial(_vectors, imu=imu, kind=kind, facts=facts),)))
    speed_t, speed = speed_of(facts, gps)
    if len(speed_t):
        rows.append((("speed",), 1.6, (partial(_speed, t=speed_t - facts.zero, speed=speed),)))
    if gps is not None:
        drawn = (partial(_track, gps=gps), partial(_altitude, gps=gps, facts=facts))
        rows.append((("track", "altitude"), 2.7, drawn))
    height = 0.9 + 0.3 * min(len(_shown(facts)), MOST_TOPICS)
    return [*rows, (("timing",), height, (partial(_timing_panel, facts=facts),))]


def envelope(t: np.ndarray, values: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Return at most two points per bin, the minimum and the maximum, in time order."""
    if len(t) <= 4 * bins:
        return t, values
    width = -(-len(t) // bins)
    padding = -len(t) % width
    t2 = np.pad(t, (0, padding), mode="edge").reshape(-1, width)
    v2 = np.pad(values, (0, padding), mode="edge").reshape(-1, width)
    # A bin of NaN has no minimum; 0 then picks one of them.
    low = np.argmin(np.where(np.isfinite(v2), v2, np.inf), axis=1)
    high = np.argmax(np.where(np.isfinite(v2), v2, -np.inf), axis=1)
    at = np.sort(np.stack([low, high], axis=1), axis=1)
    pick = np.arange(len(t2))[:, None]
    return t2[pick, at].ravel(), v2[pick, at].ravel()


def break_at_gaps(t: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve with NaN in gaps, so that no line bridges them."""
    steps = np.diff(t)
    median_step = float(np.median(steps)) if len(steps) else 0.0
    long = np.flatnonzero(steps > max(5 * median_step, 0.05)) + 1
    return np.insert(t, long, t[long - 1] + median_step), np.insert(values, long, np.nan)


def _vectors(ax: Axes, imu: ImuTopic, kind: str, facts: LogFacts) -> None:
    unit, title = ("m/s^2", "accelerometer") if kind == "accel" else ("rad/s", "gyroscope")
    if kind == "gyro" and imu.gyro_unit:
        unit = imu.gyro_unit
    t = times(imu.readings) - facts.zero
    order = np.argsort(t, kind="stable")
    for values, name, shade in zip(getattr(imu, kind).T, "xyz", AXES, strict=True):
        ax.plot(*break_at_gaps(*envelope(t[order], values[order])), color=shade, lw=0.8, label=name)
    frame(ax, x="time [s]", y=f"{kind} [{unit}]")
    ax.set_title(f"{title} as logged, {imu.readings.topic.name}")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1)


def _speed(ax: Axes, t: np.ndarray, speed: np.ndarray) -> None:
    order = np.argsort(t, kind="stable")
    ax.plot(*break_at_gaps(*envelope(t[order], speed[order])), color="k", lw=0.9)
    frame(ax, x="time [s]", y="speed [m/s]")
    ax.set_title("speed, from odometry or else the GPS")


def _track(ax: Axes, gps: GpsTopic) -> None:
    enu = to_enu(gps.geodetic[gps.fixed])
    ax.plot(enu[:, 0], enu[:, 1], color="0.75", lw=0.8, zorder=2)
    ax.plot(enu[:, 0], enu[:, 1], ".", color=colour("gps"), ms=3, zorder=3)
    for i, mark, name in ((0, "o", "first fix"), (-1, "s", "last fix")):
        ax.plot(*enu[i, :2], mark, mfc="none", mec="k", ms=7, zorder=4, label=name)
    ax.set_aspect("equal", adjustable="datalim")
    frame(ax, x="east [m]", y="north [m]")
    ax.set_title(f"GPS track, {gps.readings.topic.name}")
    ax.legend(loc="best")


def _altitude(ax: Axes, gps: GpsTopic, facts: LogFacts) -> None:
    t = times(gps.readings)[gps.fixed] - facts.zero
    up = gps.geodetic[gps.fixed, 2]
    if gps.sigma_m is not None:
        sigma = gps.sigma_m[gps.fixed, 1]
        band = {"color": colour("gps"), "alpha": 0.2, "lw": 0, "label": "stated ± 1 sigma"}
        ax.fill_between(t, up - sigma, up + sigma, **band)
        ax.legend(loc="best")
    ax.plot(*break_at_gaps(t, up), ".-", color=colour("gps"), ms=3, lw=0.8)
    ax.ticklabel_format(axis="y", useOffset=False)
    frame(ax, x="time [s]", y="altitude [m]")
    ax.set_title("GPS altitude")


def _timing_panel(ax: Axes, facts: LogFacts) -> None:
    """Draw when each topic has messages: bars, and its longest steps as marks."""
    frame(ax, x="time [s]", y="")
    names = _shown(facts)[:MOST_TOPICS]
    if not names:
        ax.text(0.5, 0.5, "no messages", transform=ax.transAxes, ha="center", va="center")
    labels = []
    for row, name in enumerate(names):
        t, timing = np.sort(times(facts.readings[name]) - facts.zero), facts.timings[name]
        labels.append(f"{name}\n{timing.rate_hz:.3g} Hz, gaps: {timing.gaps}")
        _bars(ax, row, t[np.isfinite(t)], timing, facts.seconds)
    ax.set_yticks(range(len(names)), labels, fontsize=6.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    marks = f"triangles: the {MOST_MARKS} longest steps above {GAP_FACTOR:g} times the median"
    ax.set_title(f"messages over time; {marks}")


def _bars(ax: Axes, row: int, t: np.ndarray, timing: TopicTiming, seconds: float) -> None:
    steps = np.diff(t)
    late = np.flatnonzero(steps > GAP_FACTOR / timing.rate_hz) if timing.gaps else np.zeros(0, int)
    # Rare messages are dashes; a bar would suggest that there is always one.
    if not timing.rate_hz * seconds >= 200:
        ax.plot(t, np.full(len(t), row), "|", color=HAVE_COLOUR, ms=8)
    else:
        ends = np.concatenate([[0], late[steps[late] > 0.002 * seconds] + 1, [len(t)]])
        bars = [(float(t[a]), float(t[b - 1] - t[a])) for a, b in pairwise(ends.tolist())]
        ax.broken_barh(bars, (row - 0.2, 0.4), color=HAVE_COLOUR, lw=0)
    late = late[np.argsort(-steps[late], kind="stable")[:MOST_MARKS]]
    middles = t[late] + 0.5 * steps[late]
    ax.plot(middles, np.full(len(late), row + 0.33), "^", color=GAP_COLOUR, ms=3.5)


def _shown(facts: LogFacts) -> list[str]:
    known = [r.topic.name for r in known_topics(facts)] or list(facts.readings)
    return [name for name in known if len(facts.readings[name].log_t)]
