"""What commands share: flags from a dataclass, the device, a report on stdout."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

Flags = TypeVar("Flags")
Device = Literal["auto", "cpu", "gpu", "tpu"]


def parse(
    kind: type[Flags], args: Sequence[str], *, prog: str, default: Flags | None = None
) -> Flags:
    """Read flags as a dataclass says; tyro prints help and usage errors (exit code 2)."""
    flat: Any = tyro.conf.OmitArgPrefixes[kind]
    extra: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(flat, prog=prog, args=list(args), **extra)


def choose_device(device: Device) -> None:
    """Tell JAX where to run, before it is imported."""
    if device != "auto":
        os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(device, device)


def show(found: dict[str, Any], folder: Path, *, as_json: bool) -> None:
    """Print a report on stdout, and where it lies."""
    if as_json:
        print(json.dumps(found))
        return
    print((folder / "report.md").read_text(), end="")
    print(f"\nreport: {folder / 'report.html'}")
