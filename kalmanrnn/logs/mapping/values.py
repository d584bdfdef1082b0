"""Parse single values of a map; each parser is told where the value is, for its error."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.mapping.schema import AXES, Axes, Names


def suggest(name: str, choices: Iterable[str]) -> str:
    """Suggest the closest of the choices, or list them."""
    choices = list(choices)
    close = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else "choose from: " + ", ".join(choices)


def invalid(where: str, got: Any, expected: str) -> UserError:
    """Return the error for a value that must be something else."""
    return UserError(f"{where}: got {got!r}", why=f"it must be {expected}", cure=f"change {where}")


def text(where: str, value: Any) -> str:
    """Parse text."""
    if not isinstance(value, str):
        raise invalid(where, value, "text")
    return value


def names(where: str, value: Any) -> Names:
    """Parse a name or a list of names."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(v, str) for v in found):
        raise invalid(where, value, "a list of names")
    return tuple(found)


def number(where: str, value: Any) -> float:
    """Parse a finite number."""
    try:
        # YAML 1.1 reads 1e-3 as text.
        number = float(value)
    except (TypeError, ValueError):
        raise invalid(where, value, "a number") from None
    if isinstance(value, bool) or not np.isfinite(number):
        raise invalid(where, value, "a finite number")
    return number


def seconds(where: str, value: Any) -> float:
    """Parse a time shift; beyond 300 years rounding would swallow a clock's steps."""
    shift = number(where, value)
    if abs(shift) > 1e10:
        raise invalid(where, value, "at most 1e10 seconds")
    return shift


def choice(choices: Iterable[str]) -> Callable[[str, Any], str]:
    """Make a parser of one of several words."""

    def read(where: str, value: Any) -> str:
        if value not in list(choices):
            raise UserError(
                f"{where}: unknown {value!r}",
                why=f"it must be one of {', '.join(choices)}",
                cure=suggest(value, choices),
            )
        return value

    return read


def axes(where: str, value: Any) -> Axes:
    """Parse the name of axes, or the rotation from them to forward-left-up."""
    if not isinstance(value, list):
        return AXES[choice(AXES)(where, value)]
    try:
        matrix = np.asarray(value, float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    good = matrix.shape == (3, 3) and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3)
    if not good or np.linalg.det(matrix) < 0:
        raise invalid(where, value, "a right-handed 3 x 3 rotation matrix or the name of axes")
    rows = ", ".join("[" + ", ".join(f"{float(x):g}" for x in row) + "]" for row in value)
    return Axes(f"[{rows}]", matrix)


def numbers(where: str, value: Any) -> tuple[float, ...]:
    """Parse a list of finite numbers."""
    if not isinstance(value, list):
        raise invalid(where, value, "a list of numbers")
    return tuple(number(where, v) for v in value)


def parse_table(read: Callable[[str, Any], Any], where: str, value: Any) -> dict[str, Any]:
    """Parse names, each with a value of one kind."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise invalid(where, value, "names with a value each")
    return {name: read(f"{where}.{name}", v) for name, v in value.items()}
