"""Checks of the paths that a user wants written, made before any work is done for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kalmanrnn.core.errors import UsageError


def refuse_existing(path: Path, *, kind: str, cure: str) -> None:
    """Refuse a path that exists; `kind` in the plural says what is never overwritten."""
    if path.exists():
        raise UsageError(f"{path} already exists", why=f"{kind} are never overwritten", cure=cure)


def require_parent(path: Path) -> None:
    """Refuse a path whose parent folder does not exist."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(
            f"cannot write {path}",
            why=f"there is no folder {path.parent}",
            cure=f"mkdir -p {path.parent}",
        )


def require_suffix(path: Path, suffixes: Sequence[str], *, kind: str, flag: str) -> None:
    """Refuse a path with another suffix, or without a parent folder; `kind` in the plural."""
    if path.suffix not in suffixes:
        raise UsageError(
            f"{path}: the suffix must be {', '.join(suffixes)}",
            why=f"it selects the format in which {kind} are written",
            cure=f"{flag} {path.with_suffix(suffixes[0])}",
        )
    require_parent(path)
