"""Settings read back from plain data: a run's config.json, or a YAML file of the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from kalmanrnn.core.config import RunConfig, TaskConfig
from kalmanrnn.core.renamed import RENAMED, with_new_names

Config = TypeVar("Config", RunConfig, TaskConfig)
# Name of each section of the settings -> its defaults.
DEFAULTS: Mapping[str, Any] = {
    f.name: f.default
    for kind in (RunConfig, TaskConfig)
    for f in fields(kind)
    if is_dataclass(f.default)
}


def section(name: str, raw: Mapping[str, Any], *, default: Any = None) -> Any:
    """Read one section over its defaults, under old names too; TypeError for unknown names."""
    named = with_new_names(name, raw) if name in RENAMED else dict(raw)
    return replace(DEFAULTS[name] if default is None else default, **_tuples(named))


def is_task(raw: Mapping[str, Any]) -> bool:
    """Whether these are settings of a sequence task, and not of a filter's student."""
    return "network" in raw


def run_config(raw: Mapping[str, Any]) -> RunConfig:
    """Read a student's settings; KeyError, TypeError or ValueError where they are damaged."""
    return _config(RunConfig, {"logs": {}, **raw})


def task_config(raw: Mapping[str, Any]) -> TaskConfig:
    """Read a sequence task's settings; KeyError, TypeError or ValueError if damaged."""
    return _config(TaskConfig, raw)


def _config(kind: type[Config], raw: Mapping[str, Any]) -> Config:
    parts = {f.name: section(f.name, raw[f.name]) for f in fields(kind) if f.name in DEFAULTS}
    return kind(sim=raw["sim"], set=tuple(raw["set"]), **parts)


def _tuples(value: Any) -> Any:
    """Turn JSON's lists into tuples, at any depth."""
    if isinstance(value, dict):
        return {name: _tuples(v) for name, v in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
