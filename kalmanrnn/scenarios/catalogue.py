"""Bundled scenarios and tasks by name, and copies of them to start from; imports no jax."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

from kalmanrnn.core.errors import UsageError, UserError


def sims_folder() -> Path:
    """Return the folder of bundled files: inside an installed wheel, or beside the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "sims", package.parent / "sims"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("the folder of bundled scenarios is missing; reinstall kalmanrnn")


def list_sims() -> list[tuple[str, str]]:
    """Return each bundled file's name and the first line of its docstring, without running it."""
    files = sorted(sims_folder().glob("*.py"))
    return [(file.stem, _summary(file)) for file in files if not file.stem.startswith("_")]


def _summary(file: Path) -> str:
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return doc.splitlines()[0].rstrip(".") if doc else ""


def find_sim(name_or_path: str | Path) -> Path:
    """Return the file of a bundled scenario or task, or of a path ending in .py."""
    text = str(name_or_path)
    if text.endswith(".py"):
        path = Path(text).expanduser()
        if not path.is_file():
            raise UsageError(
                f"no sim file {text}",
                why=f"relative paths start at {Path.cwd()}",
                cure="kalmanrnn sims copy rover my_robot.py  # then edit the copy",
            )
        return path.resolve()
    names = [name for name, _ in list_sims()]
    if text not in names:
        raise UsageError(
            f"no sim named {text!r}",
            why=f"the bundled ones are {', '.join(names)}; a file of your own must end in .py",
            cure=f"kalmanrnn train --sim {nearest(text, names) or 'imu_gps'}",
        )
    return sims_folder() / f"{text}.py"


def exports_task(name_or_path: str | Path) -> bool:
    """Whether a file exports a TASK, without running it; False where there is no file."""
    try:
        tree = ast.parse(find_sim(name_or_path).read_text(encoding="utf-8"))
    except (UserError, OSError, SyntaxError, ValueError):
        return False
    assigned = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return any(isinstance(t, ast.Name) and t.id == "TASK" for t in assigned)


def nearest(name: str, names: list[str]) -> str:
    """Return the name most like the one given, or ""."""
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.4)), "")


def copy_sim(name: str, target: Path) -> None:
    """Copy a bundled file to a new .py file; the scenario in it is named after that file.

    Raises UserError for an unknown name, a target that is no importable .py name, an existing
    file and a missing folder.
    """
    names = [known for known, _ in list_sims()]
    if name not in names:
        near = nearest(name, names) or "rover"
        raise UsageError(
            f"no sim named {name!r}",
            why=f"the bundled ones are {', '.join(names)}",
            cure=f"kalmanrnn sims copy {near} {target}",
        )
    _check_target(name, target)
    text = (sims_folder() / f"{name}.py").read_text(encoding="utf-8")
    text = text.replace(f'name="{name}"', f'name="{target.stem}"', 1)
    try:
        with open(target, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            f"{target} exists already",
            why="a copy never overwrites another file",
            cure=f"kalmanrnn sims copy {name} {target.with_stem(target.stem + '_2')}",
        ) from None


def _check_target(name: str, target: Path) -> None:
    """Refuse a target that could not be loaded, or whose folder does not exist."""
    if target.suffix != ".py" or not target.stem.replace("-", "_").isidentifier():
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in target.stem)
        stem = stem if stem and not stem[0].isdigit() else "my_robot"
        raise UsageError(
            f"{target.name!r} is not a valid file name for a scenario",
            why="use letters, digits, - and _, no digit first, and end it in .py",
            cure=f"kalmanrnn sims copy {name} {target.with_name(stem + '.py')}",
        )
    if not target.parent.is_dir():
        raise UsageError(
            f"there is no folder {target.parent}",
            why="a copy creates one file and no folders",
            cure=f"mkdir -p {target.parent}",
        )
