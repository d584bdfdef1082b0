"""Progress of long jobs on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_S = 10.0


class ProgressBar:
    """Shows the steps of one job; use as a context."""

    def __init__(self, total: int, done: int = 0, *, what: str = "train", quiet: bool = False):
        self.total, self.quiet = total, quiet
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.live = self.console.is_terminal and not quiet
        self.began = self.spoke = time.monotonic()
        self.first = done
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.live,
        )
        self.what = what
        self.task = self.bar.add_task(what, total=total, completed=done, figures="")

    def __enter__(self) -> ProgressBar:
        """Show the bar."""
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state of the bar on the screen."""
        self.bar.stop()

    def note(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, soft_wrap=True)

    def step(self, done: int, name: str, figures: str) -> None:
        """Show how far the job is; off a terminal, a line at most every ten seconds."""
        self.bar.update(self.task, completed=done, description=name, figures=figures)
        now = time.monotonic()
        if self.live or self.quiet or now - self.spoke < LINE_EVERY_S:
            return
        self.spoke = now
        left = (now - self.began) / max(done - self.first, 1) * (self.total - done)
        print(
            f"{name:6s} step {done}/{self.total}  {figures}  about {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def count(self, done: int, total: int) -> None:
        """Show a job's progress where its length is found on the way."""
        self.total = total
        self.bar.update(self.task, total=total)
        self.step(done, self.what, "")


def plain_progress(what: str, unit: str, *, quiet: bool = False) -> Callable[[int, int], None]:
    """Return a `progress(done, total)` that prints a line at most every ten seconds.

    For work beside a job that has a bar of its own.
    """
    spoke = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal spoke
        now = time.monotonic()
        if quiet or now - spoke < LINE_EVERY_S:
            return
        spoke = now
        print(f"{what}: {done}/{total} {unit}", file=sys.stderr, flush=True)

    return progress
