"""`kalmanrnn inspect`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from kalmanrnn.cli.common import parse
from kalmanrnn.core.errors import OK


@dataclass(frozen=True)
class InspectFlags:
    """Show what a log holds and what is wrong with it; changes nothing."""

    log: tyro.conf.Positional[Path]
    """A bag, ULog, CSV file or folder of CSV files."""
    plot: Path | None = None
    """Figure of the sensors over time to write (.png, .svg, .pdf)."""
    json: bool = False
    """Print JSON instead of text."""


def inspect(args: Sequence[str]) -> int:
    """Print a log's topics, its GPS, and findings with lines for the map."""
    flags = parse(InspectFlags, args, prog="kalmanrnn inspect")
    if flags.plot is not None:
        from kalmanrnn.diagnostics.figure_file import check_figure

        check_figure(flags.plot)
    from kalmanrnn.core.progress import ProgressBar
    from kalmanrnn.diagnostics.logs.checks import check_log
    from kalmanrnn.diagnostics.logs.facts import collect_facts
    from kalmanrnn.diagnostics.logs.summary import format_summary, to_json
    from kalmanrnn.logs.readers.open_log import open_log

    source = open_log(flags.log)
    with ProgressBar(sum(t.count for t in source.topics)) as meter:
        facts = collect_facts(source, lambda done, total: meter.step(done, "read", "messages"))
    findings = check_log(facts)
    if flags.plot is not None:
        from kalmanrnn.diagnostics.logs.log_figure import draw_log

        draw_log(facts, flags.plot)
    if flags.json:
        print(json.dumps(to_json(facts, findings)))
        return OK
    print("\n".join(format_summary(facts, findings)))
    if flags.plot is not None:
        print(f"\nfigure: {flags.plot}")
    return OK
