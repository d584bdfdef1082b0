"""What a check found: one line with its evidence, and a cure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from kalmanrnn.core.errors import DATA, OK


class Finding(NamedTuple):
    """One thing looked at.

    level: "error" for what makes a teacher wrong, "warning" for what a person should know.
    name: what was looked at. what: what was seen, with numbers. cure: what to change.
    """

    level: Literal["error", "warning", "ok"]
    name: str
    what: str
    cure: str = ""


def show_findings(findings: Sequence[Finding]) -> str:
    """Lay findings out for a person: a line each, its cure below, the count last."""
    width = max((len(f.name) for f in findings), default=0)
    lines = []
    for f in findings:
        lines.append(f"{f.level:7s}  {f.name:{width}s}  {f.what}")
        if f.cure:
            lines.append(f"{'':7s}  {'':{width}s}  try: {f.cure}")
    return "\n".join([*lines, "", counted([f.level for f in findings])])


def counted(levels: Sequence[str]) -> str:
    """Say how many errors and warnings there are: 1 error, 2 warnings."""
    counts = [(sum(found == level for found in levels), level) for level in ("error", "warning")]
    return ", ".join(f"{n} {level}{'s' * (n != 1)}" for n, level in counts)


def exit_code(findings: Sequence[Finding]) -> int:
    """Give `DATA` where there is an error; warnings are no failure."""
    return DATA if any(f.level == "error" for f in findings) else OK


def verdict(name: str, bad: Sequence[str], good: str, cure: str, level: str = "error") -> Finding:
    """Make the finding of a check that either holds or names where it does not."""
    if not bad:
        return Finding("ok", name, good)
    return Finding("warning" if level == "warning" else "error", name, "; ".join(bad), cure)
