"""Read the arrays of somebody who has only arrays: an .npz without pickles."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.diagnostics.training.sequences import Series, alike, series_of

CURE = "np.savez('data.npz', inputs=x, targets=y)   (x [N, T, F]; y [N, T, D] or [N, D])"


class Arrays(NamedTuple):
    """What a file holds: sequences to learn from, and held-out ones if it has them."""

    train: Series
    held: Series | None


def read_arrays(path: Path) -> Arrays:
    """Read members `inputs`, `targets`, and `held_inputs`, `held_targets` if there; UserError."""
    found = _members(path)
    missing = [name for name in ("inputs", "targets") if name not in found]
    if missing:
        has = ", ".join(found) or "nothing"
        raise UserError(f"{path} has no {missing[0]!r}", why=f"it holds {has}", cure=CURE)
    train = series_of(found["inputs"], found["targets"])
    halves = [name for name in ("held_inputs", "held_targets") if name in found]
    if len(halves) == 1:
        raise UserError(
            f"{path} has {halves[0]} alone",
            why="held-out sequences need both held_inputs and held_targets",
            cure=CURE,
        )
    if not halves:
        return Arrays(train, None)
    held = series_of(found["held_inputs"], found["held_targets"], name="held_")
    alike(train, held)
    return Arrays(train, held)


def _members(path: Path) -> dict[str, np.ndarray]:
    """Read all members of the file; UserError where it is no such file."""
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else f"there is none, seen from {Path.cwd()}"
        raise UserError(f"cannot read {path}", why=why, cure=CURE)
    if not path.stat().st_size:
        raise UserError(f"{path} is empty", why="it has no bytes", cure=CURE)
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is no .npz file",
            why="an .npz is a zip of arrays; text or a single .npy is not one",
            cure=CURE,
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError, MemoryError) as problem:
        raise UserError(
            f"{path} cannot be read",
            why=f"{type(problem).__name__}: {problem}".splitlines()[0][:160],
            cure=CURE,
        ) from None
