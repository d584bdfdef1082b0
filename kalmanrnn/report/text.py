"""How a report says things: labels, numbers with sensible digits, the verdict."""

from __future__ import annotations

import math
from typing import Any

from kalmanrnn.evaluation.comparison import Comparison
from kalmanrnn.evaluation.metrics import DIVERGED_FACTOR, Interval, StateGroup

LABELS = {
    "gps": "GPS alone (held)",
    "dead_reckoning": "dead reckoning",
    "ekf": "EKF",
    "ukf": "UKF",
    "own_filter": "your filter",
    "student": "student",
}
NOTHING = "—"

GLOSSARY = (
    "Accuracy ratio: RMSE(student - truth) / RMSE(teacher - truth). 1.00 is parity, below is "
    "better than the teacher.",
    "Imitation ratio: RMSE(student - teacher) / RMSE(teacher - truth). 0 is a perfect copy.",
    "Diverged: an estimate of the drive is not finite, or the drive's last known error is more "
    f"than {DIVERGED_FACTOR:g} times the teacher's RMSE on its median drive (in the origin "
    "block; where a scenario has none, in any block). Diverged drives count in every figure.",
    "NEES per dimension: squared error in units of the filter's own covariance; 1 is consistent, "
    "above is too sure of itself, below too cautious. NIS: the same for innovations.",
    "Microseconds per tick: one drive alone in one compiled scan on this machine, warm, median "
    "of five runs over the first 100 events, padding not counted; float64 for filters, float32 "
    "for the student. A call from outside for each event costs more.",
)


def label(name: str) -> str:
    """Name an estimator as people read it."""
    return LABELS.get(name, name.replace("_", " "))


def group_label(name: str) -> str:
    """Name a state group as people read it."""
    if name.endswith("_2d"):
        return f"horizontal {name[:-3]}"
    return name.replace("_", " ").replace("accel ", "accelerometer ")


def with_unit(group: StateGroup) -> str:
    """Name a group with its unit in brackets."""
    return f"{group_label(group.name)} [{unit(group)}]" if group.unit else group_label(group.name)


def unit(group: StateGroup) -> str:
    """Write a group's unit as people do."""
    return group.unit.replace("^2", "²")


def seconds(x: float) -> str:
    """Write a stretch of time: 60 s, 9.5 s."""
    return f"{x:.4g} s"


def number(x: Any, digits: int = 3) -> str:
    """Write a number with that many significant digits; a dash where there is none."""
    if x is None or math.isnan(x):
        return NOTHING
    if math.isinf(x):
        return "not finite"
    if x == 0:
        return "0"
    before = math.floor(math.log10(abs(x))) + 1
    if before < -3:
        return f"{x:.{digits - 1}e}"
    return f"{x:,.{max(digits - before, 0)}f}"


def percent(share: float) -> str:
    """Write a share; a whole number where it is one."""
    return f"{100 * share:.1f} %".replace(".0 %", " %")


def interval(i: Interval) -> tuple[str, str]:
    """Write a ratio and its 95 % interval, with more digits for a narrow one."""
    known = math.isfinite(i.low) and math.isfinite(i.high)
    narrow = known and i.high - i.low < 0.02
    value, low, high = (_ratio(x, narrow=narrow) for x in i)
    return value, f"{low} to {high}" if known else "no interval"


def _ratio(x: float, *, narrow: bool) -> str:
    if not math.isfinite(x) or abs(x) >= 10:
        return number(x)
    return f"{x:.{3 if narrow else 2}f}"


def describe_change(i: Interval) -> str:
    """Say what an accuracy ratio means to the user."""
    if not math.isfinite(i.value):
        return "far worse: it diverged" if i.value == math.inf else "not known"
    if i.low <= 1 <= i.high:
        return "no clear difference"
    word = "worse" if i.value > 1 else "better"
    if i.value >= 2:
        return f"{number(i.value, 2)} times {word}"
    if i.value <= 0.5:
        return f"{number(1 / i.value, 2)} times {word}"
    return f"{number(100 * abs(i.value - 1), 1 if abs(i.value - 1) < 0.1 else 2)} % {word}"


def verdict(comparison: Comparison) -> str:
    """Say in one sentence what the student costs or gains, group by group."""
    c = comparison
    where = f"On {c.drives} held-out drives" if c.drives > 1 else "On one drive"
    teacher, student = label(c.teacher), label(c.student)
    start = f"{where} of {seconds(c.seconds)} the {student}"
    if not c.accuracy_ratio:
        apart = ", ".join(
            f"{number(c.agreement[g.name])} {unit(g)} in {group_label(g.name)}" for g in c.groups
        )
        return f"{start} differs from the {teacher} by {apart} (RMS); no truth says who is right."
    parts = []
    for name, ratio in c.accuracy_ratio.items():
        value, ends = interval(ratio)
        if not parts:
            ends = ends.replace("no interval", "not enough data for an interval")
            ends = ends if "interval" in ends else f"95 % interval {ends}"
            first = f"{start}'s {group_label(name)} error is {value} times the {teacher}'s"
            parts.append(f"{first} ({ends}): {describe_change(ratio)}")
        else:
            parts.append(f"{group_label(name)} {value} ({ends}): {describe_change(ratio)}")
    return "; ".join([*parts, describe_divergence(comparison)]) + "."


def describe_divergence(comparison: Comparison) -> str:
    """Say how many of the student's drives diverged."""
    flags = comparison.metrics[comparison.student].diverged
    count = 0 if flags is None else int(flags.sum())
    if comparison.drives == 1:
        return "the drive diverged" if count else "it did not diverge"
    return f"{count or 'no'} drive{'s' if count > 1 else ''} diverged"


def describe_consistency(value: float | None, band: tuple[float, float]) -> str:
    """Say whether a filter's covariance can be trusted."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value > band[1]:
        return "too sure of itself"
    return "too cautious" if value < band[0] else "consistent"
