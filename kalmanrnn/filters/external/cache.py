"""Keep a drive's estimates under a hash of all they depend on."""

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


def cache_key(scenario: Scenario, order: FilterSpec, drive: Drive) -> str:
    """Hash all that a drive's estimates depend on, but for what the teacher's file imports."""
    parts = [VERSION, scenario.name, order.function, order.sim, *order.settings]
    digest = hashlib.sha256("\0".join(parts).encode())
    files = [Path(order.path)] + ([find_sim(order.sim)] if order.sim else [])
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
    """Read a drive's estimates; None where there are none, or damaged ones."""
    if cache is None:
        return None
    absent = UserError("not labelled yet", why="there is no file", cure="label it")
    try:
        arrays, _ = read_npz(cache / f"{key}.npz", missing=absent, cure="label it again")
    except UserError:
        return None
    events, d = len(drive.t), scenario.space.tangent_dim
    mean, cov = arrays.get("mean"), arrays.get("cov")
    if mean is None or mean.shape != (events, scenario.space.state_dim):
        return None
    if cov is not None and cov.shape != (events, d, d):
        return None
    return FilterOutput(mean, cov, "")


def write_cache(cache: Path, key: str, said: FilterOutput) -> None:
    """Write a drive's estimates."""
    cache.mkdir(parents=True, exist_ok=True)
    arrays = {"mean": said.mean, "cov": said.cov}
    write_npz(cache / f"{key}.npz", {n: a for n, a in arrays.items() if a is not None}, {})
