"""Read inputs and targets from an .npz file, without pickles."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.diagnostics.training.sequences import Sequences, check_same_columns, make_sequences

CURE = "np.savez('data.npz', inputs=x, targets=y)   (x [N, T, F]; y [N, T, D] or [N, D])"


class ArrayFile(NamedTuple):
    """Training sequences, and validation sequences if the file has them."""

    train: Sequences
    validation: Sequences | None


def read_arrays(path: Path) -> ArrayFile:
    """Read `inputs`, `targets` and, if present, `validation_inputs`, `validation_targets`.

    The last two may also be called `held_inputs`, `held_targets`, as they once were. UserError.
    """
    found = _members(path)
    missing = [name for name in ("inputs", "targets") if name not in found]
    if missing:
        has = ", ".join(found) or "nothing"
        raise UserError(f"{path} has no {missing[0]!r}", why=f"it holds {has}", cure=CURE)
    train = make_sequences(found["inputs"], found["targets"])
    for name in ("inputs", "targets"):
        if f"held_{name}" in found:
            found[f"validation_{name}"] = found.pop(f"held_{name}")
    halves = [n for n in ("validation_inputs", "validation_targets") if n in found]
    if len(halves) == 1:
        raise UserError(
            f"{path} has {halves[0]} alone",
            why="validation needs both validation_inputs and validation_targets",
            cure=CURE,
        )
    if not halves:
        return ArrayFile(train, None)
    arrays = found["validation_inputs"], found["validation_targets"]
    validation = make_sequences(*arrays, name="validation_")
    check_same_columns(train, validation)
    return ArrayFile(train, validation)


def _members(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of the file; UserError where it is not an .npz."""
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else f"no such file, seen from {Path.cwd()}"
        raise UserError(f"cannot read {path}", why=why, cure=CURE)
    if not path.stat().st_size:
        raise UserError(f"{path} is empty", why="it has no bytes", cure=CURE)
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is not an .npz file",
            why="an .npz is a zip archive of arrays, unlike text or a single .npy",
            cure=CURE,
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError, MemoryError) as problem:
        raise UserError(
            f"cannot read {path}",
            why=f"{type(problem).__name__}: {problem}".splitlines()[0][:160],
            cure=CURE,
        ) from None
