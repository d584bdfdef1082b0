"""All checks of a log; each gives a finding with its evidence and cure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kalmanrnn.diagnostics.finding import Finding, worst_first
from kalmanrnn.diagnostics.logs import timing
from kalmanrnn.diagnostics.logs.facts import LogFacts, speed_of
from kalmanrnn.diagnostics.logs.gnss import check_gps
from kalmanrnn.diagnostics.logs.imu_checks import FRD, check_accel, check_gyro, check_mounting
from kalmanrnn.diagnostics.logs.topics import ImuTopic, times
from kalmanrnn.logs.conversion.imu_consistency import (
    GyroComparison,
    best_comparison,
    estimate_mounting_yaw,
    finite_in_order,
    turn_rates,
)
from kalmanrnn.logs.readers.readings import Readings

# Prefer a reference with positions to one with attitudes only.
POSITION_WORDS = ("position", "pose", "odom", "reference", "mocap", "vicon")


def check_log(facts: LogFacts) -> list[Finding]:
    """Run every check; return the findings, the most severe first."""
    found = [
        *_sensors(facts),
        *_imus(facts),
        *(f for gps in zip(facts.gpses, facts.gps_summaries, strict=True) for f in check_gps(*gps)),
        *_times(facts),
        *(check_finite(name, v) for name, v in _values(facts)),
        *map(check_frame_id, known_topics(facts)),
        check_empty_topics(facts),
        check_reference(facts),
    ]
    return list(worst_first([f for f in found if f is not None]))


def known_topics(facts: LogFacts) -> list[Readings]:
    """Return the topics known as sensors or references."""
    sensors = [*facts.imus, *facts.gpses, *facts.motions]
    names = dict.fromkeys([*(s.readings.topic.name for s in sensors), *facts.references])
    return [facts.readings[n] for n in names]


def check_finite(name: str, values: np.ndarray) -> Finding | None:
    """Check that a sensor's readings `[n]` or `[n, c]` are finite; None if they are."""
    rows = values.reshape(len(values), -1)
    bad = np.asarray(~np.isfinite(rows).all(axis=1), bool)
    first = f"the first is {bad.argmax() + 1}"
    evidence = f"{bad.sum()} of {len(bad)} messages have NaN or infinity, {first}"
    finding = Finding("error", name, "not every reading is a number", evidence)
    return finding._replace(cure="import drops those messages") if bad.any() else None


def check_frame_id(readings: Readings) -> Finding | None:
    """Check a frame id: tf2 refuses a leading slash."""
    if not readings.frame.startswith("/"):
        return None
    what, cure = "its frame id has a leading slash", "none needed: frames are not looked up"
    evidence = f"{readings.frame!r}; to tf2 this is another frame than {readings.frame[1:]!r}"
    return Finding("note", readings.topic.name, what, evidence, cure)


def check_empty_topics(facts: LogFacts) -> Finding | None:
    """List topics without messages; None if there are none."""
    empty = [t.name for t in facts.source.topics if not t.count]
    if not empty:
        return None
    shown = ", ".join(empty[:6]) + (f" and {len(empty) - 6} more" if len(empty) > 6 else "")
    return Finding("note", "topics", f"topics without messages: {shown}", f"{len(empty)} in all")


def check_reference(facts: LogFacts) -> Finding:
    """Report what estimates can be compared with."""
    if facts.references:
        what, evidence = "ground truth: ", "by their names; errors can be computed"
        best = max(facts.references, key=lambda name: any(w in name for w in POSITION_WORDS))
        line = f"reference: {{{_key(facts)}: {best}}}"
        what += ", ".join(facts.references)
        return Finding("ok", "reference", what, evidence, command=line)
    what = "no ground truth and no GPS: estimates can only be compared with the filter's"
    if facts.gpses:
        what = "no ground truth: estimates are judged by withheld GPS fixes and in GPS outages"
    evidence, cure = "no topic's name suggests one", "name the topic that has it, if there is one"
    line = f"reference: {{{_key(facts)}: ...}}"
    return Finding("note", "reference", what, evidence, cure, line)


def _key(facts: LogFacts) -> str:
    """Return the map's key for a topic."""
    return "file" if facts.source.kind == "csv" else "topic"


def _values(facts: LogFacts) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each sensor's topic and the values that are used."""
    for imu in facts.imus:
        yield imu.readings.topic.name, np.concatenate([imu.gyro, imu.accel], axis=1)
    for gps in facts.gpses:
        if gps.fixed.any():
            yield gps.readings.topic.name, gps.geodetic
    for m in facts.motions:
        known = [v.reshape(len(v), -1) for v in (m.speed, m.turn, m.quaternion) if v is not None]
        yield m.readings.topic.name, np.concatenate(known, axis=1)


def _sensors(facts: LogFacts) -> Iterator[Finding]:
    if not facts.imus:
        yield Finding("error", "imu", "no IMU", "no topic has three gyro and three accel fields")
    if not facts.gpses:
        yield Finding("note", "gps", "no GPS", "no topic has latitude and longitude")
    for kind, those in (("IMU", facts.imus), ("GPS", facts.gpses)):
        if len(those) > 1:
            counts = ", ".join(f"{s.readings.topic.name} ({len(s.readings.log_t)})" for s in those)
            line = f"{kind.lower()}: {{{_key(facts)}: {those[0].readings.topic.name}}}"
            what = f"{len(those)} topics could be the {kind}"
            yield Finding("error", kind.lower(), what, counts, command=line)


def _imus(facts: LogFacts) -> Iterator[Finding]:
    gps = facts.gpses[0] if facts.gpses else None
    speed_t, speed = speed_of(facts, gps)
    for imu in facts.imus:
        name = imu.readings.topic.name
        t, gyro, accel = finite_in_order(times(imu.readings), imu.gyro, imu.accel)
        if not len(t):
            continue
        compared = _comparison(facts, imu, t, gyro)
        unit = check_gyro(name, gyro, compared, stated=imu.gyro_unit)
        # The mounting yaw needs turns in rad/s.
        scale = np.pi / 180 if "deg/s" in unit.what and unit.level == "error" else 1.0
        mounting_yaw = estimate_mounting_yaw(t, gyro * scale, accel, speed_t, speed)
        axes = FRD if facts.source.kind == "ulog" else imu.axes
        yield check_accel(name, gyro, accel)
        yield check_mounting(name, gyro, accel, mounting_yaw, axes=axes)
        yield unit


def _comparison(
    facts: LogFacts, imu: ImuTopic, t: np.ndarray, gyro: np.ndarray
) -> GyroComparison | None:
    """Compare a gyro with every other measurement of turns; return the best match."""
    sources = []
    if imu.orientation is not None:
        sources.append((*turn_rates(times(imu.readings), imu.orientation), "its own orientation"))
    for m in facts.motions:
        name, at = m.readings.topic.name, times(m.readings)
        if m.quaternion is not None and len(at) > 3:
            sources.append((*turn_rates(at, m.quaternion), name))
        elif m.turn is not None:
            sources.append((at, np.asarray(m.turn, float), name))
    return best_comparison(t, gyro, sources)


def _times(facts: LogFacts) -> Iterator[Finding | None]:
    for r in known_topics(facts):
        yield from timing.check_stamps(r)
        yield timing.check_gaps(r, facts.timings[r.topic.name])
        offset = facts.offsets.get(r.topic.name)
        if offset and facts.source.kind != "ulog":
            yield timing.check_clock(r, offset)
    yield timing.check_overlap([s.readings for s in (*facts.imus[:1], *facts.gpses[:1])])
