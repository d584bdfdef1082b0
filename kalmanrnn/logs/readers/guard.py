"""Turn whatever a library raises on a damaged log into a UserError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kalmanrnn.core.errors import UserError


@contextmanager
def guard(path: Path, cure: str, *, part: str = "") -> Iterator[None]:
    """Turn any exception raised inside into a UserError; wrap library calls, and only those.

    Libraries report damage as anything from struct.error to MemoryError, so all are caught.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as problem:
        lines = str(problem).strip().splitlines() or ["no details"]
        raise UserError(
            f"cannot read {f'{part} in ' if part else ''}{path}",
            why=f"{type(problem).__name__}: {lines[0][:160]}",
            cure=cure,
        ) from None
