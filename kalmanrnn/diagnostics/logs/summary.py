"""Facts and findings on a log as text and as JSON values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kalmanrnn.core.json_text import json_values
from kalmanrnn.diagnostics.finding import Finding, findings_to_json, format_findings
from kalmanrnn.diagnostics.logs.facts import LogFacts
from kalmanrnn.diagnostics.logs.gnss import GpsSummary
from kalmanrnn.logs.readers.readings import Topic

HEAD = ("topic", "type", "count", "rate [Hz]", "gaps", "longest [s]", "clock")


def format_summary(facts: LogFacts, findings: Sequence[Finding]) -> list[str]:
    """Return lines of text: the log, its topics, its GPS, the findings."""
    source = facts.source
    lines = [f"{source.path}: {source.kind}, {len(source.topics)} topics, {facts.seconds:.1f} s"]
    lines += [f"note: {note}" for note in source.notes]
    lines += ["", *align([HEAD, *(_row(facts, t) for t in source.topics)], left=(0, 1, 6))]
    for gps in facts.gps_summaries:
        lines += ["", *_gps_lines(gps)]
    lines += ["", format_findings(findings)]
    if any(f.command for f in findings):
        lines.append("`try:` gives lines for the map of `kalmanrnn import --map`")
    return lines


def to_json(facts: LogFacts, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the same as JSON values; null for what is unknown."""
    topics = []
    for t in facts.source.topics:
        frame = facts.readings[t.name].frame if t.name in facts.readings else ""
        found = {"timing": facts.timings.get(t.name), "log_minus_header": facts.offsets.get(t.name)}
        measured = {key: value and value._asdict() for key, value in found.items()}
        topics.append(t._asdict() | {"frame": frame} | measured)
    return json_values(
        {
            "log": facts.source.path,
            "kind": facts.source.kind,
            "seconds": facts.seconds,
            "notes": list(facts.source.notes),
            "topics": topics,
            "imu": [i.readings.topic.name for i in facts.imus],
            "gps": [g._asdict() for g in facts.gps_summaries],
            "reference": facts.references,
            "findings": findings_to_json(findings),
        }
    )


def align(rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> list[str]:
    """Lay rows of cells out in columns, those in `left` to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<" if i in left else ">" for i in range(len(widths))]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return [form.format(*row).rstrip() for row in rows]


def _row(facts: LogFacts, topic: Topic) -> tuple[str, ...]:
    timing = facts.timings.get(topic.name)
    rate, gaps, longest = "-", "-", "-"
    if timing is not None and math.isfinite(timing.rate_hz):
        rate, gaps = f"{timing.rate_hz:.4g}", str(timing.gaps)
        longest = f"{timing.gap_s:.2f} at {timing.gap_at:.0f}" if timing.gaps else "-"
    clock = timing.clock if timing else "-"
    return topic.name, topic.type, str(topic.count), rate, gaps, longest, clock


def _gps_lines(g: GpsSummary) -> list[str]:
    kinds = ", ".join(f"{name} {count}" for name, count in g.status.items())
    lines = [f"GPS {g.topic}: {100 * g.fixed:.1f} % with a fix" + (f" ({kinds})" if kinds else "")]
    if math.isfinite(g.travelled_m):
        lines[0] += f", within {g.travelled_m:.0f} m"
    if math.isfinite(g.sigma_m[0]):
        lines.append(
            f"  states a standard deviation of {g.sigma_m[0]:.2f} m horizontal, "
            f"{g.sigma_m[1]:.2f} m vertical (median)"
        )
    if math.isfinite(g.spread_m[0]):
        lines.append(
            f"  at rest for {g.standing_s:.0f} s it spread {g.spread_m[0]:.2f} m horizontal, "
            f"{g.spread_m[1]:.2f} m vertical (one standard deviation)"
        )
    elif math.isfinite(g.standing_s):
        lines.append(f"  never at rest long enough to measure its spread ({g.standing_s:.1f} s)")
    else:
        lines.append("  spread unknown: no topic shows when the robot was at rest")
    return lines
