"""Collect what a log holds: every topic's timing, and the sensors among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.logs.gnss import GpsSummary, summarise_gps
from kalmanrnn.diagnostics.logs.timing import (
    ClockOffset,
    TopicTiming,
    measure_offset,
    measure_timing,
)
from kalmanrnn.diagnostics.logs.topics import (
    GpsTopic,
    ImuTopic,
    MotionTopic,
    is_reference,
    read_gps_topic,
    read_imu_topic,
    read_motion_topic,
    times,
)
from kalmanrnn.logs.readers.readings import Readings, Source, no_progress

# Large messages that are not used here: only their count is shown.
LARGE_TYPES = ("Image", "PointCloud", "LaserScan", "OccupancyGrid", "Costmap", "Marker", "Octomap")
# PX4's own estimates and copies, not the sensors themselves.
DERIVED = ("estimator_", "home_position", "position_setpoint", "vehicle_global_position")


class LogFacts(NamedTuple):
    """What a log holds.

    source: with all topics. readings, timings: by name, of those that were read. imus, gpses,
    motions: the sensors among them, the likeliest first. references: their names. zero: the
    first time of a sensor, from which seconds are counted; seconds: until the last one.
    """

    source: Source
    readings: dict[str, Readings]
    timings: dict[str, TopicTiming]
    offsets: dict[str, ClockOffset]
    imus: list[ImuTopic]
    gpses: list[GpsTopic]
    gps_summaries: list[GpsSummary]
    motions: list[MotionTopic]
    references: list[str]
    zero: float
    seconds: float


def collect_facts(source: Source, progress: Callable[[int, int], None] = no_progress) -> LogFacts:
    """Read a log once and measure its topics."""
    large = {t for t in source.topics if any(word in t.type for word in LARGE_TYPES)}
    wanted = [t.name for t in source.topics if t.count and t not in large]
    every = source.read(wanted, progress)
    own = [r for r in every if not r.topic.name.startswith(DERIVED)]
    measured = [r for r in own if not is_reference(r)]
    imus = sorted((i for r in measured if (i := read_imu_topic(r))), key=lambda i: -len(i.gyro))
    gpses = _receivers([g for r in measured if (g := read_gps_topic(r))])
    motions = [m for r in measured if (m := read_motion_topic(r))]
    sensors = [s.readings for s in (*imus, *gpses, *motions)] or every
    zero, end = _span(sensors)
    facts = LogFacts(
        source=source,
        readings={r.topic.name: r for r in every},
        timings={r.topic.name: measure_timing(r, zero) for r in every},
        offsets={r.topic.name: o for r in every if (o := measure_offset(r))},
        imus=imus,
        gpses=gpses,
        gps_summaries=[],
        motions=motions,
        references=[r.topic.name for r in every if is_reference(r) and len(r.log_t)],
        zero=zero,
        seconds=end - zero,
    )
    return facts._replace(gps_summaries=[summarise_gps(g, *speed_of(facts, g)) for g in gpses])


def speed_of(facts: LogFacts, gps: GpsTopic | None) -> tuple[np.ndarray, np.ndarray]:
    """Return times and speeds [m/s]: of odometry, else of the GPS, else empty."""
    for m in facts.motions:
        if m.speed is not None and read_gps_topic(m.readings) is None:
            return times(m.readings), np.asarray(m.speed, float)
    if gps is not None and gps.speed is not None:
        return times(gps.readings), gps.speed
    return np.zeros(0), np.zeros(0)


def _span(readings: list[Readings]) -> tuple[float, float]:
    """Return the first and last finite time."""
    t = np.concatenate([np.zeros(0), *map(times, readings)])
    t = t[np.isfinite(t)]
    return (float(t.min()), float(t.max())) if len(t) else (0.0, 0.0)


def _receivers(gpses: list[GpsTopic]) -> list[GpsTopic]:
    """Drop PX4's raw copy of the fixes in vehicle_gps_position."""
    names = {g.readings.topic.name for g in gpses}
    copies = "sensor_gps" if "vehicle_gps_position" in names else "\0"
    kept = [g for g in gpses if not g.readings.topic.name.startswith(copies)]
    return sorted(kept, key=lambda g: -len(g.geodetic))
