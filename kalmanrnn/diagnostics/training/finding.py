"""What doctor found: what, a number as evidence, what to change, a line to copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from kalmanrnn.diagnostics.finding import counted

# Among findings of one level the first cause comes first: what stands early makes what is late.
ORDER = (
    *("nan", "axes", "leak", "constant", "growth", "scale", "duplicate", "range", "output layer"),
    *("resolution", "feedback", "off by one", "carry", "window", "length", "memory", "gradient"),
    *("one batch", "learning rate", "width", "parameters"),
)


class Finding(NamedTuple):
    """One thing that is wrong, or that a person should know.

    level: "error" for what keeps a network from learning, "warning" for what may. name: what was
    looked at, one of ORDER. what: what was seen. evidence: the number that decided. cure: what to
    change. command: a line to copy.
    """

    level: Literal["error", "warning"]
    name: str
    what: str
    evidence: float
    cure: str
    command: str = ""


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put errors before warnings, and causes before what they cause."""
    return tuple(sorted(findings, key=lambda f: (f.level != "error", ORDER.index(f.name))))


def show_findings(findings: Sequence[Finding]) -> str:
    """Lay findings out for a person."""
    if not findings:
        return "nothing wrong was found"
    width = max(len(f.name) for f in findings)
    gap = " " * (9 + width + 2)
    lines = []
    for f in findings:
        lines.append(f"{f.level:7s}  {f.name:{width}s}  {f.what}")
        lines.append(f"{gap}evidence: {f.evidence:.3g}")
        lines.append(f"{gap}change:   {f.cure}")
        if f.command:
            lines.append(f"{gap}try:      {f.command}")
    return "\n".join([*lines, "", counted([f.level for f in findings])])


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Give findings as plain data, in their order."""
    return [
        f._asdict() | {"evidence": f.evidence if math.isfinite(f.evidence) else None}
        for f in findings
    ]
