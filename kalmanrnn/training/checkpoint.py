"""Trees of arrays in one file: a student, or all that going on with training needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.core.npz import read_npz, write_npz

# Leaves of checkpoints made before version 0.2.
RENAMED_LEAVES = {"[0].anchored": "[0].resets"}


def save(path: Path, tree: Any, meta: dict[str, Any]) -> None:
    """Write a tree of arrays with plain facts about it."""
    write_npz(path, dict(_leaves(tree)), meta)


def load(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """Read a tree of arrays shaped as `like`, and the facts beside it; UserError if damaged."""
    arrays, meta = _read(path)
    arrays = {RENAMED_LEAVES.get(name, name): array for name, array in arrays.items()}
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
    missing = UserError(
        f"there is no {path.name} in {path.parent}",
        why="the run was stopped before it first saved, or this is not a run's folder",
        cure="kalmanrnn train --sim imu_gps",
    )
    return read_npz(path, missing=missing, cure="train again, or restore the file from a copy")


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in flat]
