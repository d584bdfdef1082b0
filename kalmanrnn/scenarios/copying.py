"""Start a robot of one's own from a copy of a shipped sim; imports no jax."""

from __future__ import annotations

from pathlib import Path

from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.scenarios.catalogue import list_sims, nearest, sims_folder


def copy_sim(name: str, target: Path) -> None:
    """Write a shipped sim to a new .py file; the scenario in it is named after that file.

    Raises UserError for an unknown sim, a name that does not end in .py, a file that exists and
    a folder that does not.
    """
    names = [known for known, _ in list_sims()]
    if name not in names:
        near = nearest(name, names) or "rover"
        raise UserError(
            f"no sim named {name!r}",
            why=f"the shipped ones are {', '.join(names)}",
            cure=f"kalmanrnn sims copy {near} {target}",
            code=USAGE,
        )
    _check_target(name, target)
    text = (sims_folder() / f"{name}.py").read_text(encoding="utf-8")
    text = text.replace(f'name="{name}"', f'name="{target.stem}"', 1)
    try:
        with open(target, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(
            f"{target} exists already",
            why="a copy never writes over another file",
            cure=f"kalmanrnn sims copy {name} {target.with_stem(target.stem + '_2')}",
            code=USAGE,
        ) from None


def _check_target(name: str, target: Path) -> None:
    """Refuse a target that could not be loaded as a sim, or that has no folder to lie in."""
    if target.suffix != ".py" or not target.stem.replace("-", "_").isidentifier():
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in target.stem)
        stem = stem if stem and not stem[0].isdigit() else "my_robot"
        raise UserError(
            f"{target} cannot be a sim's file",
            why="its name must be letters, digits, - and _ with .py behind it",
            cure=f"kalmanrnn sims copy {name} {target.with_name(stem + '.py')}",
            code=USAGE,
        )
    if not target.parent.is_dir():
        raise UserError(
            f"there is no folder {target.parent}",
            why="a copy makes one file and no folders",
            cure=f"mkdir -p {target.parent}",
            code=USAGE,
        )
