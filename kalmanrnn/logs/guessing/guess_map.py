"""Guess a log's map from its topics and readings, where there is no ambiguity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.conversion.convert import CONVERTERS
from kalmanrnn.logs.conversion.imu_consistency import best_comparison, turn_rates
from kalmanrnn.logs.conversion.reference import ATTITUDE, GLOBAL, LOCAL
from kalmanrnn.logs.guessing.guess_csv import guess_tables
from kalmanrnn.logs.guessing.guess_imu import imu_lines
from kalmanrnn.logs.readers.readings import Readings, Source, Topic

# Two candidates for one of these are an error; for the others, a comment.
REQUIRED_ROLES = ("imu", "gps")
OPTIONAL_ROLES = ("magnetometer", "barometer", "odometry", "pose")
MAX_NORM_ERROR = 0.1
REFERENCE_NOTE = "ground truth of the simulator"
TEMPLATE = """\
imu: {topic: /imu/data}
gps: {topic: /fix}
streams:
  wheels: {topic: /wheels, channels: {wheel_left: {field: left.velocity, unit: m/s}}}"""

Guessed = tuple[str, dict[str, Readings]]


def guess_map(source: Source, progress: Callable[[int, int], None]) -> Guessed:
    """Return a map's text, and what was read for it; UserError if it is ambiguous."""
    guess = guess_tables if source.kind == "csv" else guess_topics
    return guess(source, progress)


def guess_topics(source: Source, progress: Callable[[int, int], None]) -> Guessed:
    """Guess by message types; the IMU's mounting and units by its readings."""
    found = candidates(source)
    lines = [f"# Guessed from {Path(source.path).name}; see docs/your-own-logs.md for all keys"]
    kinds = {kind: role for role in (*REQUIRED_ROLES, *OPTIONAL_ROLES) for kind in CONVERTERS[role]}
    empty = [t for t in source.topics if not t.count and t.type in kinds]
    lines += [f"# {t.name} could be the {kinds[t.type]}, but has no messages" for t in empty]
    have: dict[str, Readings] = {}
    choices = {
        role: topics for role, topics in found.items() if role in REQUIRED_ROLES and topics[1:]
    }
    for role, topics in found.items():
        names = [topic.name for topic in topics]
        if role in choices:
            lines += [f"{'# ' if i else ''}{role}: {{topic: {n}}}" for i, n in enumerate(names)]
        elif len(names) > 1:
            lines.append(f"# {role}: one of {', '.join(names)}")
        elif role == "imu":
            more, have = _imu_section(source, topics[0], found.get("odometry", []), progress)
            lines += more
        else:
            lines.append(f"{role}: {{topic: {names[0]}}}")
    truth = _reference_lines(source)
    lines += truth
    if choices:
        raise _ambiguous(choices, lines)
    if not found and not truth:
        types = ", ".join(dict.fromkeys(t.type for t in source.topics)) or "no topic"
        raise UserError(
            f"{source.path}: no topic has a known sensor type",
            why=f"it has {types}"[:200],
            cure="write a map.yaml like this, and use --map map.yaml:\n" + TEMPLATE,
        )
    return "\n".join(lines) + "\n", have


def candidates(source: Source) -> dict[str, list[Topic]]:
    """Return the topics that could have each role, by their types; only those with messages."""
    ulog = source.kind == "ulog"
    found: dict[str, list[Topic]] = {}
    for role in (*REQUIRED_ROLES, *OPTIONAL_ROLES):
        kinds = list(CONVERTERS[role])
        topics = [t for t in source.topics if t.count and t.type in kinds]
        if role in ("odometry", "pose"):
            # A twist may be a command; an Odometry is taken as wheel odometry, not as a pose.
            odometry = "nav_msgs/msg/Odometry"
            topics = [t for t in topics if (t.type == odometry) == (role == "odometry")]
            topics = [t for t in topics if "Twist" not in t.type]
        if ulog:
            # PX4 logs a fused topic besides the raw ones, and further instances as NAME.1.
            first = [k.removeprefix("px4/") for k in kinds]
            topics = [t for name in first for t in topics if t.name == name][:1]
        if topics:
            found[role] = topics
    return found


def _reference_lines(source: Source) -> list[str]:
    """Write the reference section for PX4's ground truth, which only simulators log."""
    names = {t.type: t.name for t in source.topics if t.count}
    place = names.get(LOCAL) or names.get(GLOBAL)
    topics = [name for name in (names.get(ATTITUDE), place) if name]
    if not topics or not place:
        return []
    return [f"reference: {{topic: [{', '.join(topics)}], note: {REFERENCE_NOTE}}}"]


def _imu_section(
    source: Source, topic: Topic, odometry: list[Topic], progress: Callable[[int, int], None]
) -> tuple[list[str], dict[str, Readings]]:
    """Write the IMU's section; PX4's units and axes are known, others are guessed."""
    if topic.type.startswith("px4/"):
        return [f"imu: {{topic: {topic.name}}}"], {}
    names = [topic.name, *(t.name for t in odometry[:1])]
    have = dict(zip(names, source.read(names, progress), strict=True))
    fields = have[topic.name].fields
    gyro = np.stack([fields[f"angular_velocity.{a}"] for a in "xyz"], axis=-1)
    accel = np.stack([fields[f"linear_acceleration.{a}"] for a in "xyz"], axis=-1)
    q = np.stack([fields[f"orientation.{a}"] for a in "xyzw"], axis=-1)
    stamps = have[topic.name].stamp_t
    t = have[topic.name].log_t if stamps is None or not (stamps > 0).all() else stamps
    rates, wheels = [], None
    # An orientation that is not measured is not of unit length.
    if len(q) and np.abs(np.linalg.norm(q, axis=1) - 1).max() <= MAX_NORM_ERROR:
        rates.append((*turn_rates(t, q), "its own orientation"))
    if odometry:
        other = have[odometry[0].name]
        speed, turn = (other.fields[f"twist.twist.{p}"] for p in ("linear.x", "angular.z"))
        same = other.stamp_t if t is not have[topic.name].log_t else other.log_t
        wheels = (other.log_t if same is None else same, speed)
        rates.append((wheels[0], turn, other.topic.name))
    compared = best_comparison(t, gyro, rates)
    more = imu_lines(gyro, accel, t, compared=compared, wheels=wheels)
    return ["imu:", f"  topic: {topic.name}", *more], have


def _ambiguous(choices: dict[str, list[Topic]], lines: list[str]) -> UserError:
    what = "; ".join(
        f"{' and '.join(t.name for t in topics)} could each be the {role}"
        for role, topics in choices.items()
    )
    return UserError(
        what,
        why="nothing in the log decides between them",
        cure="save this as map.yaml, uncomment the right lines, and use --map map.yaml:\n"
        + "\n".join(lines),
    )
