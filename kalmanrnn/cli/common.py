"""What commands share: flags from a dataclass, the device, a report on stdout, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

from kalmanrnn.core.renamed import refuse_old_flags

Flags = TypeVar("Flags")
Device = Literal["auto", "cpu", "gpu", "tpu"]


def parse(
    kind: type[Flags], args: Sequence[str], *, prog: str, default: Flags | None = None
) -> Flags:
    """Read flags as a dataclass says; tyro prints help and usage errors (exit code 2)."""
    refuse_old_flags(args)
    flat: Any = tyro.conf.OmitArgPrefixes[kind]
    extra: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(flat, prog=prog, args=list(args), **extra)


def flag_value(args: Sequence[str], flag: str) -> str | None:
    """Return what a flag is given, before the flags are parsed."""
    return next(iter(flag_values(args, flag)), None)


def flag_values(args: Sequence[str], flag: str) -> list[str]:
    """Return all that a flag is given, before the flags are parsed."""
    found: list[str] = []
    for i, text in enumerate(args):
        if text.startswith(f"{flag}="):
            found.append(text.split("=", 1)[1])
        elif text == flag:
            for value in args[i + 1 :]:
                if value.startswith("--"):
                    break
                found.append(value)
    return found


def choose_device(device: Device) -> None:
    """Tell JAX where to run, before it is imported."""
    if device != "auto":
        os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(device, device)


def choose_device_of(args: Sequence[str]) -> None:
    """Tell JAX where to run before a file of the user's imports it."""
    device = flag_value(args, "--device")
    if device in ("cpu", "gpu", "tpu"):
        choose_device(device)


def print_report(folder: Path, *, as_json: bool) -> None:
    """Print a report on stdout, and where it lies."""
    if as_json:
        print(json.dumps(json.loads((folder / "report.json").read_text())))
        return
    print((folder / "report.md").read_text(), end="")
    print(f"\nreport: {folder / 'report.html'}")


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
