"""Cache a drive's estimates under a hash of what they depend on.

Not joblib: it hashes arguments, but a teacher depends on the contents of two files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.npz import read_npz, write_npz
from kalmanrnn.filters.external.loading import FilterSpec
from kalmanrnn.filters.external.worker import FilterOutput
from kalmanrnn.scenarios.catalogue import find_sim
from kalmanrnn.scenarios.scenario import Scenario

VERSION = "1"


def cache_key(scenario: Scenario, spec: FilterSpec, drive: Drive) -> str:
    """Hash what a drive's estimates depend on, except for what the teacher's file imports."""
    parts = [VERSION, scenario.name, spec.function, spec.sim, *spec.settings]
    digest = hashlib.sha256("\0".join(parts).encode())
    files = [Path(spec.path)] + ([find_sim(spec.sim)] if spec.sim else [])
    arrays = jax.tree.leaves((drive.t, drive.packets, drive.belief))
    for blob in [f.read_bytes() for f in files]:
        digest.update(hashlib.sha256(blob).digest())
    for a in arrays:
        digest.update(f"{a.shape}{a.dtype}".encode())
        digest.update(np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()[:32]


def read_cache(
    cache: Path | None, key: str, scenario: Scenario, drive: Drive
) -> FilterOutput | None:
    """Read a drive's estimates; None if they are missing or damaged."""
    if cache is None:
        return None
    missing = UserError("not labelled yet", why="there is no file", cure="label it")
    try:
        arrays, _ = read_npz(cache / f"{key}.npz", missing=missing, cure="label it again")
    except UserError:
        return None
    events, d = len(drive.t), scenario.space.tangent_dim
    mean, cov = arrays.get("mean"), arrays.get("cov")
    if mean is None or mean.shape != (events, scenario.space.state_dim):
        return None
    if cov is not None and cov.shape != (events, d, d):
        return None
    return FilterOutput(mean, cov, "")


def write_cache(cache: Path, key: str, output: FilterOutput) -> None:
    """Write a drive's estimates."""
    cache.mkdir(parents=True, exist_ok=True)
    arrays = {"mean": output.mean, "cov": output.cov}
    write_npz(cache / f"{key}.npz", {n: a for n, a in arrays.items() if a is not None}, {})
