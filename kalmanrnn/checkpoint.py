"""Save and load trees of arrays as plain `.npz`: portable, checked, never executing anything.

Written beside its final place and renamed, so that a cut-off write leaves the old file whole.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.errors import UserError

META = "__meta__"


def save(path: Path, tree: Any, meta: dict[str, Any]) -> None:
    """Write a tree of arrays with plain facts about it."""
    arrays: dict[str, Any] = {name: np.asarray(leaf) for name, leaf in _leaves(tree)}
    arrays[META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    beside = path.with_suffix(".part")
    try:
        with open(beside, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """Read a tree of arrays shaped as `like`, and the facts beside it; UserError if damaged."""
    arrays, meta = _read(path)
    wanted = _leaves(like)
    for name, leaf in wanted:
        if name not in arrays or arrays[name].shape != np.shape(leaf):
            got = arrays[name].shape if name in arrays else "nothing"
            raise UserError(
                f"{path} does not fit this network",
                why=f"it holds {got} for {name}, not {np.shape(leaf)}",
                cure="use the settings that it was trained with (config.json beside it)",
            )
    leaves = [jnp.asarray(arrays[name], leaf.dtype) for name, leaf in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), meta


def meta_of(path: Path) -> dict[str, Any]:
    """Read only the facts."""
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop(META).tobytes())
    except FileNotFoundError:
        raise UserError(
            f"there is no {path.name} in {path.parent}",
            why="the run was stopped before it first saved, or this is not a run's folder",
            cure="kalmanrnn train --sim imu_gps",
        ) from None
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as problem:
        raise UserError(
            f"{path} is damaged",
            why=f"{type(problem).__name__}: {problem}".splitlines()[0][:160],
            cure="train again, or restore the file from a copy",
        ) from None


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in flat]
