"""Estimates as files that other tools open: CSV tables, TUM trajectories, MCAP odometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kalmanrnn.core.atomic_write import atomic_path
from kalmanrnn.core.output_path import require_suffix
from kalmanrnn.core.state_space import Block
from kalmanrnn.logs.writers.mcap import write_mcap
from kalmanrnn.logs.writers.poses import pose_covariance, pose_from_state
from kalmanrnn.scenarios.scenario import Scenario

SUFFIXES = (".csv", ".tum", ".mcap")
WORLD_AXES = ("east", "north", "up")


def write_estimates(
    path: Path,
    t: np.ndarray,
    mean: np.ndarray,
    scenario: Scenario,
    *,
    cov: np.ndarray | None = None,
) -> None:
    """Write estimates in the format of the path's suffix; UserError for any other.

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
    """Refuse a path that estimates cannot be written to, before any work is done for it."""
    require_suffix(path, SUFFIXES, kind="estimates", flag="--out")


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
    with atomic_path(path) as part:
        form = ["%.9f", *["%.12g"] * (len(names) - 1)]
        np.savetxt(part, values, form, delimiter=",", header=",".join(names), comments="")


def write_tum(path: Path, t: np.ndarray, position: np.ndarray, quaternion: np.ndarray) -> None:
    """Write `timestamp tx ty tz qx qy qz qw` lines, the format of the TUM RGB-D benchmark."""
    values = np.concatenate([t[:, None], position, quaternion], axis=1)
    assert values.shape == (len(t), 8)
    with atomic_path(path) as part:
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
