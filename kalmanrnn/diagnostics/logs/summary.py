"""Facts and findings on a log as lines for a person, and as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kalmanrnn.diagnostics.finding import Finding, findings_to_json, format_findings
from kalmanrnn.diagnostics.logs.facts import Facts
from kalmanrnn.diagnostics.logs.gnss import GpsFacts
from kalmanrnn.logs.readers.readings import Topic

HEAD = ("topic", "type", "count", "rate [Hz]", "gaps", "longest [s]", "clock")


def sheet(facts: Facts, findings: Sequence[Finding]) -> list[str]:
    """Return lines: the log, its topics, its GPS, the judgements."""
    source = facts.source
    lines = [f"{source.path}: {source.kind}, {len(facts.topics)} topics, {facts.seconds:.1f} s"]
    lines += [f"note: {note}" for note in source.notes]
    rows = [HEAD, *(_row(facts, t) for t in facts.topics)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines.append("")
    for row in rows:
        cells = [
            c.ljust(w) if i < 2 or i == 6 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    for gps in facts.gps_facts:
        lines += ["", *_gps_lines(gps)]
    lines.append("")
    lines.append(format_findings(findings))
    if any(f.command for f in findings):
        lines.append("`try:` gives lines for the map of `kalmanrnn import --map`")
    return lines


def as_json(facts: Facts, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the same as values that JSON can say; what is not known is null."""
    topics = []
    for t in facts.topics:
        pace = facts.pace.get(t.name)
        offset = facts.offsets.get(t.name)
        topics.append(
            t._asdict()
            | {"frame": facts.readings[t.name].frame if t.name in facts.readings else ""}
            | {"pace": pace._asdict() if pace else None}
            | {"log_less_header": offset._asdict() if offset else None}
        )
    found = {
        "log": facts.source.path,
        "kind": facts.source.kind,
        "seconds": facts.seconds,
        "notes": list(facts.source.notes),
        "topics": topics,
        "imu": [i.readings.topic.name for i in facts.imus],
        "gps": [g._asdict() for g in facts.gps_facts],
        "reference": facts.truths,
        "findings": findings_to_json(findings),
    }
    return _plain(found)


def _row(facts: Facts, topic: Topic) -> tuple[str, ...]:
    pace = facts.pace.get(topic.name)
    if pace is None or not math.isfinite(pace.rate_hz):
        return (
            topic.name,
            topic.type,
            str(topic.count),
            "-",
            "-",
            "-",
            pace.clock if pace else "-",
        )
    longest = f"{pace.gap_s:.2f} at {pace.gap_at:.0f}" if pace.gaps else "-"
    figures = (f"{pace.rate_hz:.4g}", str(pace.gaps), longest, pace.clock)
    return (topic.name, topic.type, str(topic.count), *figures)


def _gps_lines(g: GpsFacts) -> list[str]:
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
            f"  standing for {g.standing_s:.0f} s it spread {g.spread_m[0]:.2f} m horizontal, "
            f"{g.spread_m[1]:.2f} m vertical (one standard deviation)"
        )
    elif math.isfinite(g.standing_s):
        lines.append(f"  never stood long enough for its spread ({g.standing_s:.1f} s)")
    else:
        lines.append("  nothing says when the robot stood, so its spread is not known")
    return lines


def _plain(value: Any) -> Any:
    """Turn what is not finite into None, tuples into lists."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
