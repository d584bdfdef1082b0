"""Load a user's teacher from its Python file; errors have three lines."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core.errors import UsageError, UserError
from kalmanrnn.scenarios.loading import run_file
from kalmanrnn.scenarios.scenario import Scenario, load_scenario


class FilterSpec(NamedTuple):
    """What a worker needs to make the teacher; plain and hashable.

    sim, settings: how to load the scenario again, for a `make_filter` that takes one.
    """

    path: str
    function: str
    sim: str
    settings: tuple[str, ...]


def split_spec(spec: str) -> tuple[Path, str]:
    """Read `my_filter.py:make_filter`; the function is `make_filter` where none is named."""
    path, colon, function = spec.rpartition(":")
    if not colon or not path.endswith(".py"):
        path, function = spec, "make_filter"
    if not path.endswith(".py") or not function.isidentifier():
        raise UsageError(
            f"cannot read the teacher {spec!r}",
            why="a teacher is ekf, ukf, or a Python file with a function that makes it",
            cure="--teacher my_filter.py:make_filter",
        )
    if not Path(path).is_file():
        raise UsageError(
            f"there is no teacher file {path}",
            why=f"{Path(path).resolve().parent} holds no {Path(path).name}",
            cure="--teacher PATH/my_filter.py:make_filter",
        )
    return Path(path), function


def make_filter(spec: FilterSpec, scenario: Scenario | None) -> Any:
    """Execute the teacher's file and make the teacher."""
    path = Path(spec.path)
    try:
        function = getattr(_load_module(path), spec.function, None)
        if not callable(function):
            raise UsageError(
                f"{path.name} has no function {spec.function}",
                why="the part after the colon names a function that returns the filter",
                cure=f"add `def {spec.function}(scenario):` to {path}",
            )
        teacher = function(*_arguments(function, spec, scenario))
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"cannot make the teacher {path.name}",
            why=describe_error(error),
            cure=f"fix {path}",
        ) from error
    for name in ("init", "step"):
        if not callable(getattr(teacher, name, None)):
            raise UserError(
                f"the teacher returned by {spec.function} has no {name}",
                why="a teacher has init(belief) and step(packet)",
                cure=f"give {type(teacher).__name__} a method {name}, as in examples/my_filter.py",
            )
    return teacher


def _load_module(path: Path) -> Any:
    # As a script, a teacher may import modules beside its file.
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return run_file(path, prefix="kalmanrnn_teacher")


def takes_scenario(function: Any) -> bool:
    """Whether a maker takes the scenario: a parameter of that name, or one without a default."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = inspect.signature(function).parameters.values()
    return any(p.kind in kinds and (p.default is p.empty or p.name == "scenario") for p in known)


def _arguments(function: Any, spec: FilterSpec, scenario: Scenario | None) -> Sequence[Scenario]:
    if not takes_scenario(function):
        return ()
    return (scenario if scenario is not None else load_scenario(spec.sim, spec.settings),)


def describe_error(error: BaseException) -> str:
    """Say what was raised, and where: in the user's file if it is known."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not Path(f.filename).is_relative_to(Path(__file__).parent)]
    text = (str(error).splitlines() or [""])[0]
    kind = f"{type(error).__name__}: {text}"[:200]
    return f"{kind} ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else text[:200]
