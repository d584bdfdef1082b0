"""The door to the packages of the extra `export`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kalmanrnn.core.errors import MISSING, UserError


def need(module: str, what: str) -> Any:
    """Import a package of the extra `export`; `what` cannot be done without it."""
    try:
        return import_module(module)
    except ImportError:
        raise UserError(
            f"cannot {what}",
            why=f"the package {module.split('.')[0]} is not installed",
            cure="pip install 'kalmanrnn[export]'",
            code=MISSING,
        ) from None
