"""Names of version 0.1 that a user's own file may still use: modules, functions and keywords."""

from __future__ import annotations

import ast
import multiprocessing
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from kalmanrnn.core.renamed import RENAMED

# In kalmanrnn: old module -> new module, and what it called its names -> what they are called now.
MODULES: dict[str, tuple[str, dict[str, str]]] = {
    "config": ("core.config", {}),
    "manifold": ("core.state_space", {}),
    "motion": ("scenarios.trajectories", {"curve": "random_spline"}),
    "own_teacher": ("filters.external", {}),
    "rotation": ("core.quaternion", {"about": "from_axis_angle"}),
    "scenario": ("scenarios.scenario", {"load": "load_scenario"}),
    "sensors": ("scenarios.sensors", {"common_clock": "event_rate"}),
    "task": ("tasks.task", {"Merit": "Metric", "Verdict": "TaskMetrics", "plain": "unweighted"}),
    "types": ("core.datatypes", {}),
}
# By what is called: old keyword -> new keyword.
KEYWORDS: Mapping[str, Mapping[str, str]] = {
    "Scenario": {
        "world": "simulate_truth",
        "initial": "sample_initial",
        "start": "initialise",
        "turn": "yaw_symmetry",
    },
    "Sensor": {"reads": "observes"},
    "Gps": {"reads": "observes"},
    "NetworkConfig": RENAMED["network"],
    "BudgetConfig": RENAMED["budget"],
    "Metric": {"bar": "target", "higher": "higher_is_better"},
    "SequenceTask": {
        "draw": "sample",
        "merit": "metric",
        "ahead": "horizon",
        "judge": "evaluate",
        "beside": "baselines",
        "scaled": "normalise",
        "store": "precompute",
    },
}


def support_old_imports(path: Path, text: str) -> None:
    """Make the old modules that a file imports importable, and say so once on stderr."""
    found = [name for name in MODULES if f"kalmanrnn.{name}" in _imports(text)]
    for name in found:
        sys.modules[f"kalmanrnn.{name}"] = _module(name)
    if found and multiprocessing.parent_process() is None:
        _note(path, tuple(found))


@cache
def _note(path: Path, found: tuple[str, ...]) -> None:
    news = ", ".join(f"kalmanrnn.{name} is now kalmanrnn.{MODULES[name][0]}" for name in found)
    print(f"note: {path.name} uses names of version 0.1, which still work: {news}", file=sys.stderr)


def _imports(text: str) -> set[str]:
    """Return every dotted name that a file imports; nothing from one that is not Python."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return set()
    plain = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    sources = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.module]
    return plain.union(
        *({f"{n.module}.{alias.name}" for alias in n.names} | {f"{n.module}"} for n in sources)
    )


@cache
def _module(old: str) -> ModuleType:
    """Make a module whose names are looked up in the one that holds them now."""
    place, renamed = MODULES[old]
    new = import_module(f"kalmanrnn.{place}")
    made = ModuleType(f"kalmanrnn.{old}", new.__doc__)

    def look_up(name: str) -> Any:
        name = renamed.get(name, name)
        found = getattr(new, name)
        return _accept_keywords(found, tuple(KEYWORDS[name].items())) if name in KEYWORDS else found

    made.__dict__["__getattr__"] = look_up
    return made


@cache
def _accept_keywords(target: Any, renamed: tuple[tuple[str, str], ...]) -> Any:
    """Return what makes the same as `target`, old keywords accepted."""
    now = dict(renamed)

    def call(cls: Any, *args: Any, **keywords: Any) -> Any:
        return target(*args, **{now.get(name, name): value for name, value in keywords.items()})

    # A class, so that a file may use it in annotations; what it makes is an instance of `target`.
    return type(target.__name__, (), {"__new__": call, "__doc__": target.__doc__})


def new_keyword(message: str) -> tuple[str, str, str] | None:
    """Return what was called, the old and the new keyword, if a TypeError is about an old one."""
    found = re.search(
        r"(\w+)(?:\.__\w+__)?\(\) got an unexpected keyword argument '(\w+)'", message
    )
    new = KEYWORDS.get(found[1], {}).get(found[2]) if found else None
    return (found[1], found[2], new) if found and new else None
