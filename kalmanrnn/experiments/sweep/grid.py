"""A grid over the flags of `kalmanrnn train`: its settings, checked; imports no jax."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from kalmanrnn.core.config import RunConfig, TaskConfig, check_config, check_task_config
from kalmanrnn.core.errors import UsageError, UserError
from kalmanrnn.scenarios.catalogue import nearest

SEED, WIDTH = "seed", "hidden"
# Settings that enlarge what a network can represent.
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
            why = "an axis is name=value,value"
            raise _usage_error(f"cannot read {text!r} in the grid", why, "--grid hidden=8,16,32")
        if key not in known:
            near = nearest(key, list(known)) or WIDTH
            raise _usage_error(
                f"there is no setting {key!r} for the grid",
                f"kalmanrnn train --sim {base.sim} has no such flag",
                f"--grid {near}={values}   (kalmanrnn train --sim {base.sim} --help lists them)",
            )
        if key in grid:
            raise _usage_error(
                f"{key} is in the grid twice",
                "give all values of an axis at once",
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
            f"--grid {key}=...   (see kalmanrnn train --help)",
        ) from None
    if len(set(values)) < len(values):
        only = ",".join(dict.fromkeys(map(str, values)))
        raise _usage_error(
            f"{key} has a value twice", "each run is made only once", f"--grid {key}={only}"
        )
    return values


def _value(text: str, hint: Any) -> Any:
    """Read one value by the setting's type; ValueError."""
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise ValueError(f"{text!r} is not one of {', '.join(map(str, get_args(hint)))}")
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
    raise ValueError("it takes several numbers, which a grid cannot list")


def sweepable_fields(base: Config) -> dict[str, Any]:
    """Return the settings that a grid may have, with their types."""
    known: dict[str, Any] = {}
    for part in SECTIONS[type(base)]:
        known |= get_type_hints(type(getattr(base, part)))
    return known


def grid_settings(grid: Mapping[str, Sequence[Any]]) -> list[Setting]:
    """Return the settings of all runs, first seed first, so that curves appear early."""
    order = sorted(grid, key=lambda key: key != SEED)
    axes = [grid[key] for key in order]
    settings = [dict(zip(order, values, strict=True)) for values in itertools.product(*axes)]
    return [{key: setting[key] for key in grid} for setting in settings]


def apply_setting(base: Config, setting: Setting) -> Config:
    """Apply a setting to the base config; UserError where the result is invalid."""
    made = base
    for part in SECTIONS[type(base)]:
        inside = getattr(base, part)
        names = {f.name for f in fields(inside)}
        changed = replace(inside, **{k: v for k, v in setting.items() if k in names})
        made = replace(made, **{part: changed})
    if isinstance(made, TaskConfig):
        check_task_config(made)
    else:
        check_config(made)
    return made


def run_name(setting: Setting) -> str:
    """Return the name of a run's folder."""
    name = ",".join(f"{key}={value}" for key, value in setting.items())
    return re.sub(r"[^\w.,=+-]", "_", name)


def setting_flags(setting: Setting) -> list[str]:
    """Return a setting as flags of `kalmanrnn train`."""
    made: list[str] = []
    for key, value in setting.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            made.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            made += [f"--{flag}", str(value)]
    return made


def sweep_axis(grid: Mapping[str, Sequence[Any]]) -> str:
    """Return the axis to draw errors against: the first with several numbers."""
    for key, values in grid.items():
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if key != SEED and numeric and len(values) > 1:
            return key
    return WIDTH


def _usage_error(what: str, why: str, cure: str) -> UserError:
    return UsageError(what, why=why, cure=cure)
