"""What a report on a sweep says in words: does error fall, stay flat or rise."""

from __future__ import annotations

import math
from typing import NamedTuple

from kalmanrnn.core.config import TaskConfig
from kalmanrnn.experiments.sweep.folder import Sweep
from kalmanrnn.experiments.sweep.grid import CAPACITY, SEED, Config
from kalmanrnn.experiments.sweep.results import Result
from kalmanrnn.experiments.sweep.trend import Curve, Trend
from kalmanrnn.report.text import group_label, number

# Curves that a verdict names; the table has all.
NAMED = 3


class Found(NamedTuple):
    """All that a report on a sweep is written from.

    x: the axis errors are drawn against. higher: more is better (a task's merit may be so).
    what: what the figures are, in words.
    """

    sweep: Sweep
    config: Config
    x: str
    higher: bool
    what: str
    results: list[Result]
    curves: list[Curve]
    trends: list[Trend]


def verdict(found: Found) -> str:
    """Say whether error falls, stays flat or rises along the axis."""
    over = [r for r in found.results if r.state != "waiting"]
    so_far = "" if len(over) == len(found.results) else (
        f"So far, with {len(over)} of {len(found.results)} runs: "
    )  # fmt: skip
    known = [(c, t) for c, t in zip(found.curves, found.trends, strict=True) if t.word != "unknown"]
    if not known and only_names(found):
        return f"{so_far}{ranking(found)}"
    if not known:
        return f"{so_far}There is no second value of {found.x} yet: nothing to compare."
    rising = [(c, t) for c, t in known if t.word == "RISES"]
    if rising:
        said = "; ".join(sentence(found, c, t) for c, t in rising[:NAMED])
        if len(rising) > NAMED:
            said += f"; and {len(rising) - NAMED} more of {len(known)} in the table of trends"
        return f"{so_far}{_noun(found)} with {found.x}: {said}. {_blame(found.x)}".strip()
    parts = [
        f"it {'falls' if word == 'falls' else 'stays flat'} in {', '.join(names)}"
        for word in ("falls", "flat")
        if (names := [named(c) for c, t in known if t.word == word])
    ]
    return f"{so_far}Error does not rise with {found.x}: {'; '.join(parts)}."


def only_names(found: Found) -> bool:
    """Whether the grid goes over names alone, such as cells: there is no curve, only an order."""
    return len(found.sweep.grid.get(found.x, ())) < 2 and len({c.line for c in found.curves}) > 1


def subject(found: Found) -> str:
    """Say what the report is about: error against an axis of numbers, or by names."""
    if not only_names(found):
        return f"against {found.x}"
    return "by " + " and ".join(
        key for key, values in found.sweep.grid.items() if key != SEED and len(values) > 1
    )


def ranking(found: Found) -> str:
    """Put the grid's names in order, best mean first, for each figure."""
    said = []
    for figure in dict.fromkeys(c.figure for c in found.curves):
        lines = [(float(c.mean[0]), c.line) for c in found.curves if c.figure == figure]
        lines.sort(key=lambda at: (not math.isfinite(at[0]), -at[0] if found.higher else at[0]))
        order = ", then ".join(
            f"{line} ({number(mean, 4) if math.isfinite(mean) else 'diverged'})"
            for mean, line in lines[:NAMED]
        )
        said.append(f"{headed(found, figure)}: {order}")
    return f"Best first, means over seeds. {'; '.join(said)}."


def _noun(found: Found) -> str:
    return "The figure gets WORSE" if found.higher else "Error RISES"


def _blame(x: str) -> str:
    if x not in CAPACITY:
        return ""
    return (
        "A larger network can do all that a smaller one can, so it is the optimisation that is at "
        "fault: lower the learning rate, warm it up longer, or give it more updates."
    )


def sentence(found: Found, curve: Curve, judged: Trend) -> str:
    """Say how one curve goes, with its figures."""
    return f"{named(curve)} {ends(found, curve, judged)}"


def ends(found: Found, curve: Curve, judged: Trend) -> str:
    """Say what a curve's trend goes from and to, and how much seeds differ."""
    if judged.word == "unknown":
        return f"at one value of {found.x} only"
    if math.isnan(judged.spread):
        scatter = "what another seed would change is not known"
    elif judged.relative:
        scatter = f"seeds differ by {number(100 * math.expm1(judged.spread), 2)} %"
    else:
        scatter = f"seeds differ by {number(judged.spread, 2)}"
    first, last = {
        "RISES": (judged.better, judged.worse),
        "falls": (0, judged.better),
        "flat": (0, len(curve.x) - 1),
    }[judged.word]
    return f"from {place(curve, first)} to {place(curve, last)} ({scatter})"


def place(curve: Curve, at: int) -> str:
    """Say a curve's mean at one place, or how many runs diverged there."""
    x, values = f"{curve.x[at]:g}", curve.values[at]
    lost = sum(not math.isfinite(v) for v in values)
    if lost:
        return f"{x}, where {lost} of {len(values)} runs diverged"
    return f"{number(curve.mean[at])} at {x}"


def named(curve: Curve) -> str:
    """Name a curve as people read it."""
    return group_label(curve.figure) + (f" ({curve.line})" if curve.line else "")


def headed(found: Found, figure: str) -> str:
    """Name a figure with its unit; errors of runs are ratios and have none."""
    unit = found.what if isinstance(found.config, TaskConfig) else ""
    return f"{group_label(figure)} {unit}".strip()


def notes(found: Found) -> list[str]:
    """Collect what a reader must know."""
    made = [f"{r.name} failed: {r.why}" for r in found.results if r.state == "failed"]
    waiting = sum(r.state == "waiting" for r in found.results)
    if waiting:
        made.append(f"{waiting} runs wait: kalmanrnn sweep --resume {found.sweep.path}")
    if made:
        made.append(
            "A run that failed is not made again; take its folder away and resume to try it anew."
        )
    return made
