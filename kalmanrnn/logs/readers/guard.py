"""The one place where a library's trouble with a damaged log becomes a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from kalmanrnn.core.errors import MISSING, UserError


@contextmanager
def door(path: Path, cure: str, *, part: str = "") -> Iterator[None]:
    """Turn whatever is raised inside into a UserError; put library calls here, and only those.

    Readers meet damage as anything from struct.error to MemoryError, so all are caught.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as problem:
        lines = str(problem).strip().splitlines() or ["no further word"]
        raise UserError(
            f"cannot read {f'{part} in ' if part else ''}{path}",
            why=f"{type(problem).__name__}: {lines[0][:160]}",
            cure=cure,
        ) from None


def need(module: str, path: Path) -> Any:
    """Import a package of the extra `logs`."""
    try:
        return import_module(module)
    except ImportError:
        raise UserError(
            f"cannot read {path}",
            why=f"the package {module.split('.')[0]} is not installed",
            cure="pip install 'kalmanrnn[logs]'",
            code=MISSING,
        ) from None
