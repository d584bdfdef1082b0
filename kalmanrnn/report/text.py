"""The text of a report: labels, numbers with sensible digits, the verdict."""

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
    "Accuracy ratio: RMSE(student - truth) / RMSE(teacher - truth). 1.00 is parity; below 1 the "
    "student is better than its teacher.",
    "Imitation ratio: RMSE(student - teacher) / RMSE(teacher - truth). 0 is a perfect copy.",
    "Diverged: an estimate is not finite, or the drive's last known error is more than "
    f"{DIVERGED_FACTOR:g} times the teacher's RMSE on its median drive (in the origin block; in a "
    "scenario without one, in any block). Diverged drives count in every metric.",
    "NEES per dimension: squared error in units of the filter's own covariance; 1 is consistent, "
    "above 1 overconfident, below 1 conservative. NIS: the same for innovations.",
    "Microseconds per tick: a single drive in one compiled scan on this machine, warm, median of "
    "five runs over the first 100 events, without padding; float64 for filters, float32 for the "
    "student. A call from Python for each event costs more.",
)


def label(name: str) -> str:
    """Return an estimator's name for readers."""
    return LABELS.get(name, name.replace("_", " "))


def group_label(name: str) -> str:
    """Return a state group's name for readers."""
    if name.endswith("_2d"):
        return f"horizontal {name[:-3]}"
    return name.replace("_", " ").replace("accel ", "accelerometer ")


def with_unit(group: StateGroup) -> str:
    """Return a group's name with its unit in brackets."""
    return f"{group_label(group.name)} [{unit(group)}]" if group.unit else group_label(group.name)


def unit(group: StateGroup) -> str:
    """Format a group's unit."""
    return group.unit.replace("^2", "²")


def seconds(x: float) -> str:
    """Format a duration: 60 s, 9.5 s."""
    return f"{x:.4g} s"


def number(x: Any, digits: int = 3) -> str:
    """Format a number with that many significant digits; None and NaN as a dash."""
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
    """Format a share in percent, without decimals if it is a whole number."""
    return f"{100 * share:.1f} %".replace(".0 %", " %")


def interval(i: Interval) -> tuple[str, str]:
    """Format a ratio and its 95 % interval, with more digits for a narrow one."""
    known = math.isfinite(i.low) and math.isfinite(i.high)
    narrow = known and i.high - i.low < 0.02
    value, low, high = (_ratio(x, narrow=narrow) for x in i)
    return value, f"{low} to {high}" if known else "no interval"


def _ratio(x: float, *, narrow: bool) -> str:
    if not math.isfinite(x) or abs(x) >= 10:
        return number(x)
    return f"{x:.{3 if narrow else 2}f}"


def describe_change(i: Interval) -> str:
    """Describe an accuracy ratio in words."""
    if not math.isfinite(i.value):
        return "far worse: it diverged" if i.value == math.inf else "unknown"
    if i.low <= 1 <= i.high:
        return "no clear difference"
    word = "worse" if i.value > 1 else "better"
    if i.value >= 2:
        return f"{number(i.value, 2)} times {word}"
    if i.value <= 0.5:
        return f"{number(1 / i.value, 2)} times {word}"
    return f"{number(100 * abs(i.value - 1), 1 if abs(i.value - 1) < 0.1 else 2)} % {word}"


def verdict(comparison: Comparison) -> str:
    """Return one sentence on what the student gains or loses, group by group."""
    c = comparison
    where = f"On {c.drives} test drives" if c.drives > 1 else "On one drive"
    teacher, student = label(c.teacher), label(c.student)
    start = f"{where} of {seconds(c.seconds)} the {student}"
    if not c.accuracy_ratio:
        differences = ", ".join(
            f"{number(c.agreement[g.name])} {unit(g)} in {group_label(g.name)}" for g in c.groups
        )
        return (
            f"{start} differs from the {teacher} by {differences} (RMS); "
            "there is no ground truth to compare with."
        )
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
    """Say whether a filter's covariance is consistent."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value > band[1]:
        return "overconfident"
    return "conservative" if value < band[0] else "consistent"
