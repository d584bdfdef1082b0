"""Estimates as files that other tools open: CSV tables, TUM trajectories, MCAP odometry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import USAGE, UserError
from kalmanrnn.core.state_space import Block
from kalmanrnn.logs.writers.mcap import matrices, write_mcap
from kalmanrnn.scenarios.scenario import Scenario

SUFFIXES = (".csv", ".tum", ".mcap")
HEADINGS = ("heading", "yaw")
WORLD_AXES = ("east", "north", "up")


class Poses(NamedTuple):
    """Where a robot is, in the world's axes east, north, up.

    position: `[n, 3]` [m]. quaternion: `[n, 4]` x, y, z, w, body to world. velocity: `[n, 3]`
    [m/s], or None where no block says it.
    """

    position: np.ndarray
    quaternion: np.ndarray
    velocity: np.ndarray | None


def write_estimates(
    path: Path,
    t: np.ndarray,
    mean: np.ndarray,
    scenario: Scenario,
    *,
    cov: np.ndarray | None = None,
) -> None:
    """Write estimates in the format that the path's suffix names; UserError for any other.

    t: `[n]` absolute seconds. mean: `[n, X]`. cov: `[n, D, D]` in the tangent space.
    """
    check_suffix(path)
    if path.suffix == ".csv":
        std = None if cov is None else np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
        write_csv(path, t, mean, std, scenario)
        return
    position, quaternion, velocity = pose_from_state(scenario, mean)
    if path.suffix == ".tum":
        write_tum(path, t, position, quaternion)
        return
    cov_pose = None if cov is None else pose_covariance(scenario, quaternion, cov)
    write_mcap(path, t, position, quaternion, velocity, cov_pose)


def check_suffix(path: Path) -> None:
    """Refuse a path that cannot be written, before any work is done for it."""
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{path} has a suffix that names no format",
            why=f"estimates are written as {', '.join(SUFFIXES)}",
            cure=f"--out {path.with_suffix('.csv')}",
            code=USAGE,
        )
    if not path.parent.is_dir():
        raise UserError(
            f"cannot write {path}",
            why=f"there is no folder {path.parent}",
            cure=f"mkdir -p {path.parent}",
            code=USAGE,
        )


def pose_from_state(scenario: Scenario, mean: np.ndarray) -> Poses:
    """Find position, attitude and velocity in states `[n, X]` by the names of their blocks.

    A planar position lies at height 0, a heading is a turn about up, and a scenario without
    either attitude or heading never turns. UserError where there is no position.
    """
    space = scenario.space
    kinds = {b.name: b.kind for b in space.blocks}
    if not _has_vector(scenario, "position"):
        raise UserError(
            f"{scenario.name} has no position to write",
            why="it needs a vector block named position with 2 or 3 numbers, and has "
            f"{', '.join(kinds)}",
            cure="write a table instead: --out estimates.csv",
        )
    quaternion = np.tile([0.0, 0.0, 0.0, 1.0], (len(mean), 1))
    heading = next((name for name in HEADINGS if kinds.get(name) == "angle"), None)
    if kinds.get("attitude") == "rotation":
        quaternion = np.asarray(mean[:, space.state_slice("attitude")], float)
    elif heading:
        half = 0.5 * np.asarray(mean[:, space.state_slice(heading)][:, 0], float)
        quaternion[:, 2], quaternion[:, 3] = np.sin(half), np.cos(half)
    moving = _has_vector(scenario, "velocity")
    velocity = _to_3d(mean[:, space.state_slice("velocity")]) if moving else None
    return Poses(_to_3d(mean[:, space.state_slice("position")]), quaternion, velocity)


def pose_covariance(scenario: Scenario, quaternion: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Return `[n, 6, 6]` of x, y, z and turns about the world's axes, 0 where none is known."""
    space, n = scenario.space, len(cov)
    found = np.zeros((n, 6, cov.shape[-1]))
    for b in space.blocks:
        s = space.tangent_slice(b.name)
        if b.name == "position":
            found[:, range(b.size), range(s.start, s.stop)] = 1.0
        elif b.name == "attitude" and b.kind == "rotation":
            found[:, 3:, s] = matrices(quaternion) if b.side == "body" else np.eye(3)
        elif b.name in HEADINGS and b.kind == "angle":
            found[:, 5, s.start] = 1.0
    return found @ cov @ found.transpose(0, 2, 1)


def write_csv(
    path: Path, t: np.ndarray, mean: np.ndarray, std: np.ndarray | None, scenario: Scenario
) -> None:
    """Write states `[n, X]` and standard deviations `[n, D]`: SI and radians, a header line."""
    names = ["t_s", *(c for b in scenario.space.blocks for c in _column_names(b, tangent=False))]
    table = [t[:, None], mean]
    if std is not None:
        names += [f"std_{c}" for b in scenario.space.blocks for c in _column_names(b, tangent=True)]
        table.append(std)
    values = np.concatenate([np.asarray(a, float) for a in table], axis=1)
    assert values.shape[1] == len(names)
    with _beside(path) as part:
        form = ["%.9f", *["%.12g"] * (len(names) - 1)]
        np.savetxt(part, values, form, delimiter=",", header=",".join(names), comments="")


def write_tum(path: Path, t: np.ndarray, position: np.ndarray, quaternion: np.ndarray) -> None:
    """Write `timestamp tx ty tz qx qy qz qw` lines, as the TUM RGB-D benchmark has them."""
    values = np.concatenate([t[:, None], position, quaternion], axis=1)
    assert values.shape == (len(t), 8)
    with _beside(path) as part:
        np.savetxt(part, values, ["%.9f"] * 8)


def _column_names(block: Block, *, tangent: bool) -> list[str]:
    """Name a block's columns: `position_east_m`, `attitude_qx`, `gyro_bias_x_rad_s`."""
    unit = block.unit.replace("deg", "rad").replace("/", "_").replace("^", "").strip("_")
    size = block.tangent_size if tangent else block.state_size
    world = block.name in ("position", "velocity") and size <= 3
    parts = [f"_{i}" for i in range(size)]
    if size == 1:
        parts = [""]
    elif size <= 3:
        parts = [f"_{a}" for a in (WORLD_AXES if world else "xyz")[:size]]
    if block.kind == "angle":
        unit = "rad"
    if block.kind == "rotation":
        unit = "rad" if tangent else ""
        parts = [f"_{a}" for a in "xyz"] if tangent else [f"_q{a}" for a in "xyzw"]
    return [f"{block.name}{part}" + (f"_{unit}" if unit else "") for part in parts]


def _has_vector(scenario: Scenario, name: str) -> bool:
    return any(
        b.name == name and b.kind == "vector" and b.size in (2, 3) for b in scenario.space.blocks
    )


def _to_3d(vector: np.ndarray) -> np.ndarray:
    """Return `[n, 3]` float64 of `[n, 2]` or `[n, 3]`."""
    vector = np.asarray(vector, float)
    return np.pad(vector, ((0, 0), (0, 3 - vector.shape[1])))


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a path to write to; put it in its place if all went well, else leave nothing."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
