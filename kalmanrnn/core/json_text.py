"""Python values as JSON values: JSON has no arrays, no infinity and no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any


def json_values(x: Any, *, digits: int | None = None) -> Any:
    """Convert arrays, tuples, dataclasses and numpy numbers; what is not finite becomes None.

    digits: significant digits of floats; all of them if not given.
    """
    if hasattr(x, "tolist"):
        x = x.tolist()
    elif is_dataclass(x) and not isinstance(x, type):
        x = asdict(x)
    if isinstance(x, Mapping):
        return {str(key): json_values(value, digits=digits) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [json_values(value, digits=digits) for value in x]
    if isinstance(x, float):
        if not math.isfinite(x):
            return None
        return x if digits is None else float(f"{x:.{digits}g}")
    return x if x is None or isinstance(x, str | int | bool) else str(x)
