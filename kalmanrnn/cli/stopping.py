"""Ctrl-C and SIGTERM: save, then stop."""

from __future__ import annotations

import signal
import sys
from typing import Any


def stop_on_signal() -> Any:
    """Make Ctrl-C and SIGTERM end training after the step in hand; a second one ends it at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("stopping after this step; saving", file=sys.stderr)

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    return lambda step: bool(asked)
