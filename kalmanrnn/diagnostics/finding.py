"""One result of a diagnostic: what was seen, the evidence, and the cure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from kalmanrnn.core.errors import DATA, OK
from kalmanrnn.core.json_text import json_values

Level = Literal["error", "warning", "note", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "ok")


class Finding(NamedTuple):
    """One result of a diagnostic.

    level: "error" must be fixed, "warning" may need fixing, "note" is worth knowing. name: what
    was checked. what: what was seen. evidence: the figures behind it, in words or as the number
    that decided. cure: what to change. command: a line to copy, for a shell, a script or a map.
    """

    level: Level
    name: str
    what: str
    evidence: Any = ""
    cure: str = ""
    command: str = ""


def worst_first(findings: Sequence[Finding], names: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Sort by level, then by the name's place in `names`."""
    place = {name: at for at, name in enumerate(names)}
    return tuple(sorted(findings, key=lambda f: (LEVELS.index(f.level), place.get(f.name, 0))))


def format_findings(findings: Sequence[Finding]) -> str:
    """Lay findings out as text: a line each, evidence and cure below, the counts last."""
    if not findings:
        return "no problems found"
    width = max(len(f.name) for f in findings)
    gap = " " * (9 + width + 2)
    lines = []
    for f in findings:
        lines.append(f"{f.level:7s}  {f.name:{width}s}  {f.what}")
        number = isinstance(f.evidence, int | float)
        evidence = f"{f.evidence:.3g}" if number else f.evidence
        for label, text in (("evidence:", evidence), ("cure:", f.cure), ("try:", f.command)):
            if text:
                lines.append(f"{gap}{label:9s} {text}")
    return "\n".join([*lines, "", count_levels(findings)])


def findings_to_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return findings as JSON values, in their order; evidence that is not finite is null."""
    return json_values([f._asdict() for f in findings])


def count_levels(findings: Sequence[Finding]) -> str:
    """Count errors and warnings: "1 error, 2 warnings"."""
    counts = [(sum(f.level == level for f in findings), level) for level in LEVELS[:2]]
    return ", ".join(f"{n} {level}{'s' * (n != 1)}" for n, level in counts)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return `DATA` if there is an error, else `OK`."""
    return DATA if any(f.level == "error" for f in findings) else OK


def pass_or_fail(
    name: str, bad: Sequence[str], good: str, cure: str, level: Level = "error"
) -> Finding:
    """Return "ok" with `good` if nothing is `bad`, else a finding that lists it."""
    if not bad:
        return Finding("ok", name, good)
    return Finding(level, name, "; ".join(bad), cure=cure)
