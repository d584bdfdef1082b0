"""Whether error falls, stays flat or rises along an axis, given the spread over seeds.

A wider network can represent all that a narrower one can. Where its error is higher by more than
the spread over seeds, the width is not at fault but the optimisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from kalmanrnn.experiments.sweep.grid import SEED, Grid, Setting
from kalmanrnn.experiments.sweep.results import RunResult

# Smaller relative differences do not count; with one seed the spread is unknown, so more.
MIN_DIFFERENCE, MIN_DIFFERENCE_ONE_SEED = 0.01, 0.05

Direction = Literal["falls", "flat", "rises", "unknown"]


class Curve(NamedTuple):
    """One metric along an axis, for one setting of all other axes.

    line: that setting as text, "" where there is only one. x: `[P]` ascending. values: of each
    seed at each x, infinite where a run diverged.
    """

    metric: str
    line: str
    x: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> np.ndarray:
        """Mean over seeds `[P]`; infinite where one diverged."""
        return np.array([np.mean(v) for v in self.values])

    @property
    def std(self) -> np.ndarray:
        """Standard deviation between seeds `[P]`; not a number with fewer than two."""
        return np.array([_std(v) for v in self.values])


class Trend(NamedTuple):
    """The direction of a curve. better, worse: the points that show it. std: between seeds.

    relative: whether std is a share of the metric, rather than in its unit.
    """

    direction: Direction
    better: int
    worse: int
    std: float
    relative: bool


def make_curves(results: Sequence[RunResult], grid: Grid, x: str, default: float) -> list[Curve]:
    """Group results into curves: by metric, then by the axes that are neither x nor seed.

    default: x of all results where the axis is not in the grid.
    """
    others = [key for key, values in grid.items() if key not in (x, SEED) and len(values) > 1]
    found: dict[tuple[str, str], dict[float, list[float]]] = {}
    for metric in dict.fromkeys(name for r in results for name in r.metrics):
        for result in results:
            value = result.metrics[metric]
            if not math.isnan(value):
                line = found.setdefault((metric, _line_name(result.setting, others)), {})
                line.setdefault(float(result.setting.get(x, default)), []).append(value)
    return [
        Curve(metric, line, tuple(sorted(by_x)), tuple(tuple(by_x[at]) for at in sorted(by_x)))
        for (metric, line), by_x in found.items()
    ]


def judge_trend(curve: Curve, *, higher_is_better: bool = False) -> Trend:
    """Judge whether a curve rises, falls or stays flat.

    Errors that are all positive are compared as shares of each other, others as they are. The
    spread is the standard deviation between seeds, of all places together.
    """
    finite = [v for at in curve.values for v in at if math.isfinite(v)]
    relative = not higher_is_better and all(v > 0 for v in finite)
    costs = [
        [_cost(v, higher_is_better=higher_is_better, relative=relative) for v in at]
        for at in curve.values
    ]
    mean = np.array([np.mean(at) for at in costs])
    count = np.array([len(at) for at in costs])
    spread, free = pooled_std(costs)
    if len(mean) < 2:
        return Trend("unknown", 0, 0, spread, relative)
    least = (MIN_DIFFERENCE if free else MIN_DIFFERENCE_ONE_SEED) * (
        1.0 if relative else max(map(abs, finite), default=0.0)
    )
    chance = chance_difference(spread, free, len(mean))

    def beyond(worse: int, better: int) -> float:
        """By how much a difference exceeds an insignificant one."""
        gap = 0.0 if mean[worse] == mean[better] else float(mean[worse] - mean[better])
        return gap - max(least, chance * math.sqrt(1 / count[worse] + 1 / count[better]))

    best = [int(np.argmin(mean[:at])) for at in range(1, len(mean))]
    rises = [beyond(at, b) for at, b in enumerate(best, 1)]
    if max(rises) > 0:
        worse = int(np.argmax(rises)) + 1
        return Trend("rises", best[worse - 1], worse, spread, relative)
    better = int(np.argmin(mean))
    return Trend("falls" if beyond(0, better) > 0 else "flat", better, 0, spread, relative)


def chance_difference(spread: float, free: int, places: int) -> float:
    """Return the largest difference along a curve that chance alone explains.

    For means of one value each: times sqrt(1/n + 1/m) for means of n and m. The studentised range
    (Tukey 1953; Kramer 1956) at 90 % holds for differences either way, so at 95 % for rises. The
    spread alone would not do: over five widths with three seeds the best of the narrower is
    lucky, and in more than half of all sweeps over pure noise a wider one is worse by that much.
    """
    return spread * _studentised_range(places, free) / math.sqrt(2) if free else 0.0


@lru_cache
def _studentised_range(places: int, free: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(0.9, places, free))


def pooled_std(costs: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the standard deviation between seeds, pooled over points, and its degrees of freedom.

    NaN and 0 where no point has two seeds.
    """
    groups = [np.array([v for v in at if math.isfinite(v)]) for at in costs]
    free = sum(len(at) - 1 for at in groups if at.size)
    if not free:
        return math.nan, 0
    squares = sum(float(((at - at.mean()) ** 2).sum()) for at in groups if at.size)
    return math.sqrt(squares / free), free


def _cost(value: float, *, higher_is_better: bool, relative: bool) -> float:
    """Transform a metric so that less is better and differences compare."""
    if not math.isfinite(value):
        return math.inf
    return math.log(value) if relative else -value if higher_is_better else value


def _std(values: Sequence[float]) -> float:
    good = [v for v in values if math.isfinite(v)]
    return float(np.std(good, ddof=1)) if len(good) > 1 else math.nan


def _line_name(point: Setting, others: Sequence[str]) -> str:
    return ", ".join(f"{key}={point[key]}" for key in others)
