"""Run a sim's Python file and set what its `make` takes; failures become three lines."""

from __future__ import annotations

import importlib.util
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.scenarios.catalogue import find_sim, nearest


def run_file(path: Path) -> ModuleType:
    """Execute a sim's file as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"kalmanrnn_sim_{path.stem}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise load_error(path, error) from error
    return module


def load_error(
    path: Path, error: Exception, settings: Mapping[str, Any] | None = None
) -> UserError:
    """Tell which line of a sim's file, run with these settings, gave rise to an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    at = f"{path.name}, line {line}" if line else path.name
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    given = " ".join(f"--set {name}={value}" for name, value in (settings or {}).items())
    return UserError(
        f"the sim {path.stem} cannot be used",
        why=f"{at}: {kind}{error}",
        cure=f"change {given}" if given else f"mend it: {path}" + (f":{line}" if line else ""),
    )


def load_object(
    name_or_path: str | Path,
    settings: Sequence[str],
    params: Mapping[str, Any],
    check: Callable[[Any], None],
) -> tuple[Path, Any]:
    """Run a sim's file and return it with what it describes: a scenario, a task, or None.

    settings: `name=value` strings, read by the type of make's default; params: values as they
    are. check: raises ValueError where a description cannot be used. Raises UserError.
    """
    path = find_sim(name_or_path)
    module = run_file(path)
    wanted = make_arguments(
        path, getattr(module, "make", None), {**parse_settings(settings), **params}
    )
    try:
        made = getattr(module, "SCENARIO", getattr(module, "TASK", None))
        if wanted:
            made = module.make(**wanted)
        check(made)
    except Exception as error:
        raise load_error(path, error, wanted) from error
    return path, made


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Split `name=value` settings as a command line gives them."""
    for text in settings:
        if "=" not in text:
            raise UserError(
                f"cannot read the setting {text!r}",
                why="a setting is a name, an equals sign and a value",
                cure=f"--set {text}=1.0",
                code=USAGE,
            )
    return dict(text.split("=", 1) for text in settings)


def make_arguments(path: Path, make: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Check settings against the parameters of `make`, and read strings by their defaults."""
    if settings and make is None:
        raise UserError(
            f"the sim {path.stem} has nothing to set",
            why=f"{path.name} defines no function make(...)",
            cure=f"put `def make({next(iter(settings))}=...)` into {path}",
            code=USAGE,
        )
    every = inspect.signature(make).parameters if make is not None else {}
    known = {name: p for name, p in every.items() if p.default is not p.empty}
    for name in settings:
        if name not in known:
            raise UserError(
                f"the sim {path.stem} has no parameter {name!r}",
                why=f"its parameters are {', '.join(known) or 'none'}",
                cure=f"--set {nearest(name, list(known)) or next(iter(known), 'name')}=...",
                code=USAGE,
            )
    return {name: _read(name, value, known[name].default) for name, value in settings.items()}


def _read(name: str, value: Any, default: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _convert(value, default)
    except ValueError as error:
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        plain = isinstance(default, bool | int | float | str | tuple)
        raise UserError(
            f"cannot read {name}={value}",
            why=str(error),
            cure=f"--set {name}={shown}" if plain else f"set {name} in a sim file of your own",
            code=USAGE,
        ) from error


def _convert(text: str, default: Any) -> Any:
    """Read a string as the type of the default it replaces; ValueError if it cannot be."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text!r}")
        return text.lower() == "true"
    if isinstance(default, tuple):
        parts = text.strip("()").split(",")
        if len(parts) != len(default):
            raise ValueError(f"expected {len(default)} numbers with commas, got {text!r}")
        return tuple(_convert(p, d) for p, d in zip(parts, default, strict=True))
    if isinstance(default, int | float):
        return type(default)(text)
    if isinstance(default, str):
        return text
    raise ValueError(f"a {type(default).__name__} can only be given in Python")
