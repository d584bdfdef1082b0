"""Which sims there are, by name and first line, without running them; imports no jax."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

from kalmanrnn.core.errors import USAGE, UserError


def sims_folder() -> Path:
    """Where the shipped sims lie: inside an installed wheel, or beside the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "sims", package.parent / "sims"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("the folder of shipped sims is missing; reinstall kalmanrnn")


def list_sims() -> list[tuple[str, str]]:
    """Return each shipped sim's name and the first line of its docstring."""
    files = sorted(sims_folder().glob("*.py"))
    return [(file.stem, _summary(file)) for file in files if not file.stem.startswith("_")]


def _summary(file: Path) -> str:
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return doc.splitlines()[0].rstrip(".") if doc else ""


def find_sim(name_or_path: str | Path) -> Path:
    """Return the file of a shipped sim, or of a path ending in .py."""
    text = str(name_or_path)
    if text.endswith(".py"):
        path = Path(text).expanduser()
        if not path.is_file():
            raise UserError(
                f"no sim file {text}",
                why=f"nothing is there, seen from {Path.cwd()}",
                cure=f"cp {sims_folder() / 'rover.py'} my_robot.py  # and describe yours",
                code=USAGE,
            )
        return path.resolve()
    names = [name for name, _ in list_sims()]
    if text not in names:
        raise UserError(
            f"no sim named {text!r}",
            why=f"the shipped ones are {', '.join(names)}; a file of your own must end in .py",
            cure=f"kalmanrnn train --sim {nearest(text, names) or 'imu_gps'}",
            code=USAGE,
        )
    return sims_folder() / f"{text}.py"


def exports_task(name_or_path: str | Path) -> bool:
    """Whether a sim's file exports a TASK, without running it; False where there is no file."""
    try:
        tree = ast.parse(find_sim(name_or_path).read_text(encoding="utf-8"))
    except (UserError, OSError, SyntaxError, ValueError):
        return False
    assigned = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return any(isinstance(t, ast.Name) and t.id == "TASK" for t in assigned)


def nearest(name: str, names: list[str]) -> str:
    """Return the name most like the one given, or ""."""
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.4)), "")
