"""A grid over the flags of `kalmanrnn train`: read it, check it, lay out its runs; no jax."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from kalmanrnn.core.config import RunConfig, TaskConfig, check_config, check_task_config
from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.scenarios.catalogue import nearest

SEED, WIDTH = "seed", "hidden"
# Settings in which more means a network that can do all that a smaller one can.
CAPACITY = ("hidden", "layers", "head")
SECTIONS = {RunConfig: ("student", "data", "train"), TaskConfig: ("network", "budget")}

Grid = dict[str, tuple[Any, ...]]
Setting = dict[str, Any]
Config = RunConfig | TaskConfig


def read_grid(texts: Sequence[str], base: Config) -> Grid:
    """Read `key=value,value` texts against the settings of `base`; UserError."""
    if not texts:
        raise _usage_error(
            "the grid is empty", "no --grid was given", "--grid hidden=8,16,32 seed=0,1"
        )
    known = sweepable_fields(base)
    grid: Grid = {}
    for text in texts:
        name, sign, values = text.partition("=")
        key = name.lstrip("-").replace("-", "_")
        if not sign or not values:
            why = "an axis is a name, an equals sign, and values with commas between them"
            raise _usage_error(f"cannot read {text!r} in the grid", why, "--grid hidden=8,16,32")
        if key not in known:
            near = nearest(key, list(known)) or WIDTH
            raise _usage_error(
                f"the grid cannot go over {key!r}",
                f"kalmanrnn train --sim {base.sim} has no flag of that name for it",
                f"--grid {near}={values}   (kalmanrnn train --sim {base.sim} --help lists them)",
            )
        if key in grid:
            raise _usage_error(
                f"{key} is in the grid twice",
                "an axis has all its values in one place",
                f"--grid {key}={','.join(map(str, grid[key]))},{values}",
            )
        grid[key] = _values(key, values, known[key])
    return grid


def _values(key: str, text: str, hint: Any) -> tuple[Any, ...]:
    try:
        values = tuple(_value(part.strip(), hint) for part in text.split(","))
    except ValueError as problem:
        raise _usage_error(
            f"cannot read {key}={text} in the grid",
            str(problem),
            f"--grid {key}=...   (kalmanrnn train --help says what it can be)",
        ) from None
    if len(set(values)) < len(values):
        only = ",".join(dict.fromkeys(map(str, values)))
        raise _usage_error(
            f"{key} has a value twice", "each run is made once", f"--grid {key}={only}"
        )
    return values


def _value(text: str, hint: Any) -> Any:
    """Read one value as the setting's type says; ValueError."""
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise ValueError(f"{text!r} is none of {', '.join(map(str, get_args(hint)))}")
        return text
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text!r}")
        return text.lower() == "true"
    if hint is int or hint is float:
        try:
            return hint(text)
        except ValueError:
            word = "a whole number" if hint is int else "a number"
            raise ValueError(f"expected {word}, got {text!r}") from None
    if hint is str and text:
        return text
    raise ValueError("its values cannot be told apart by commas")


def sweepable_fields(base: Config) -> dict[str, Any]:
    """Return the settings a grid may go over, with their types."""
    known: dict[str, Any] = {}
    for part in SECTIONS[type(base)]:
        known |= get_type_hints(type(getattr(base, part)))
    return known


def grid_settings(grid: Mapping[str, Sequence[Any]]) -> list[Setting]:
    """Lay out the runs: all of the first seed, then of the next, so that curves come early."""
    order = sorted(grid, key=lambda key: key != SEED)
    axes = [grid[key] for key in order]
    laid = [dict(zip(order, values, strict=True)) for values in itertools.product(*axes)]
    return [{key: point[key] for key in grid} for point in laid]


def apply_setting(base: Config, point: Setting) -> Config:
    """Return the settings of one run; UserError where no run can have them."""
    made = base
    for part in SECTIONS[type(base)]:
        inside = getattr(base, part)
        names = {f.name for f in fields(inside)}
        changed = replace(inside, **{k: v for k, v in point.items() if k in names})
        made = replace(made, **{part: changed})
    if isinstance(made, TaskConfig):
        check_task_config(made)
    else:
        check_config(made)
    return made


def run_name(point: Setting) -> str:
    """Name a run's folder by where it lies in the grid."""
    said = ",".join(f"{key}={value}" for key, value in point.items())
    return re.sub(r"[^\w.,=+-]", "_", said)


def setting_flags(point: Setting) -> list[str]:
    """Say a point of the grid as flags of `kalmanrnn train`."""
    made: list[str] = []
    for key, value in point.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            made.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            made += [f"--{flag}", str(value)]
    return made


def sweep_axis(grid: Mapping[str, Sequence[Any]]) -> str:
    """Choose the axis that errors are drawn against: the first with several numbers."""
    for key, values in grid.items():
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if key != SEED and numeric and len(values) > 1:
            return key
    return WIDTH


def _usage_error(what: str, why: str, cure: str) -> UserError:
    return UserError(what, why=why, cure=cure, code=USAGE)
