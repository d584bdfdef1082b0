"""Run a scenario's or task's Python file and set what its `make` takes; errors have three lines."""

from __future__ import annotations

import importlib.util
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from kalmanrnn.core.errors import UsageError, UserError
from kalmanrnn.scenarios.catalogue import find_sim, nearest
from kalmanrnn.scenarios.old_names import new_keyword, support_old_imports


def run_file(path: Path, *, prefix: str = "kalmanrnn_sim") -> ModuleType:
    """Execute a user's file as a module of its own; what it raises is passed on."""
    spec = importlib.util.spec_from_file_location(f"{prefix}_{path.stem}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    support_old_imports(path, path.read_text(encoding="utf-8"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_error(
    path: Path, error: Exception, settings: Mapping[str, Any] | None = None
) -> UserError:
    """Say in which line a file, run with these settings, raised an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    at = f"{path.name}, line {line}" if line else path.name
    place = f"{path}:{line}" if line else f"{path}"
    renamed = new_keyword(str(error)) if isinstance(error, TypeError) else None
    given = " ".join(f"--set {name}={value}" for name, value in (settings or {}).items())
    if renamed:
        what, old, new = renamed
        why, cure = f"{what}'s `{old}` is now `{new}`", f"write {new}= for {old}= in {place}"
    else:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        why, cure = f"{kind}{error}", f"change {given}" if given else f"fix {place}"
    return UserError(f"cannot load {path.name}", why=f"{at}: {why}", cure=cure)


def load_object(
    name_or_path: str | Path,
    settings: Sequence[str],
    params: Mapping[str, Any],
    check: Callable[[Any], None],
) -> tuple[Path, Any]:
    """Run a file and return it with what it describes: a scenario, a task, or None.

    settings: `name=value` strings, converted to the type of make's default; params: values,
    strings among them converted likewise. check: raises ValueError for an unusable description.
    Raises UserError.
    """
    path = find_sim(name_or_path)
    wanted: dict[str, Any] = {}
    try:
        module = run_file(path)
        wanted = make_arguments(
            path, getattr(module, "make", None), {**parse_settings(settings), **params}
        )
        made = getattr(module, "SCENARIO", getattr(module, "TASK", None))
        if wanted:
            made = module.make(**wanted)
        check(made)
    except UserError:
        raise
    except Exception as error:
        raise load_error(path, error, wanted) from error
    return path, made


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Split `name=value` settings as the command line gives them."""
    for text in settings:
        if "=" not in text:
            raise UsageError(
                f"cannot read the setting {text!r}",
                why="a setting is a name, an equals sign and a value",
                cure=f"--set {text}=1.0",
            )
    return dict(text.split("=", 1) for text in settings)


def make_arguments(path: Path, make: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Check settings against the parameters of `make`, and convert strings by their defaults."""
    if settings and make is None:
        raise UsageError(
            f"{path.name} has no settings",
            why="it defines no function make(...)",
            cure=f"add `def make({next(iter(settings))}=...)` to {path}",
        )
    every = inspect.signature(make).parameters if make is not None else {}
    known = {name: p for name, p in every.items() if p.default is not p.empty}
    for name in settings:
        if name not in known:
            raise UsageError(
                f"{path.name} has no parameter {name!r}",
                why=f"its parameters are {', '.join(known) or 'none'}",
                cure=f"--set {nearest(name, list(known)) or next(iter(known), 'name')}=...",
            )
    return {name: _convert(name, value, known[name].default) for name, value in settings.items()}


def _convert(name: str, value: Any, default: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _as_type_of(default, value)
    except ValueError as error:
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        plain = isinstance(default, bool | int | float | str | tuple)
        raise UsageError(
            f"cannot read {name}={value}",
            why=str(error),
            cure=f"--set {name}={shown}" if plain else f"set {name} in a scenario file of your own",
        ) from error


def _as_type_of(default: Any, text: str) -> Any:
    """Convert a string to the type of the default it replaces; ValueError where it does not fit."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text!r}")
        return text.lower() == "true"
    if isinstance(default, tuple):
        parts = text.strip("()").split(",")
        if len(parts) != len(default):
            raise ValueError(f"expected {len(default)} numbers separated by commas, got {text!r}")
        return tuple(_as_type_of(d, p) for p, d in zip(parts, default, strict=True))
    if isinstance(default, int | float):
        return type(default)(text)
    if isinstance(default, str):
        return text
    raise ValueError(f"a {type(default).__name__} can only be given in Python")
