"""Import packages that only an optional extra installs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kalmanrnn.core.errors import MISSING, UserError


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module; UserError names the extra to install for `purpose` ("write ONNX")."""
    try:
        return import_module(module)
    except ImportError:
        raise UserError(
            f"cannot {purpose}",
            why=f"the package {module.split('.')[0]} is not installed",
            cure=f"pip install 'kalmanrnn[{extra}]'",
            code=MISSING,
        ) from None
