"""Refuse the names of version 0.1 in a task file, and name the new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

FIELDS: Mapping[str, Mapping[str, str]] = {
    "Metric": {"bar": "target", "higher": "higher_is_better"},
    "SequenceTask": {
        "ahead": "horizon",
        "beside": "baselines",
        "draw": "sample",
        "judge": "evaluate",
        "merit": "metric",
        "scaled": "normalise",
        "store": "precompute",
    },
}


class RefusesOldNames:
    """A class whose renamed fields are refused with their new names: ValueError."""

    def __new__(cls, *_: Any, **fields: Any) -> Any:
        """Check the names of fields before anything is made of them."""
        for old, new in FIELDS[cls.__name__].items():
            if old in fields:
                raise ValueError(f"{cls.__name__}: `{old}` is called `{new}` now")
        return super().__new__(cls)


def refuse_old_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that names the successor of an old name: ImportError."""

    def getattr_(name: str) -> Any:
        if name in names:
            raise ImportError(f"`{name}` of {module} is called `{names[name]}` now")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return getattr_
