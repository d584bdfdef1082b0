"""Training sets: drives with their teacher's run beside them, checked against filterpy."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.config import DataConfig
from kalmanrnn.dataset import localise, origins, shift_states
from kalmanrnn.filters import FILTERS
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.filters.reference import largest_difference
from kalmanrnn.run import over_drives
from kalmanrnn.scenario import Scenario
from kalmanrnn.simulate import simulate
from kalmanrnn.types import Drive, Packet

AGREEMENT = 1e-6
CHUNK = 64


class Taught(NamedTuple):
    """Drives and what their teacher said, in each drive's own origin, float32.

    difference: the largest relative difference from filterpy, over the stretches checked.
    """

    drives: Drive
    run: FilterEstimate
    difference: float


@lru_cache(maxsize=8)
def _compiled(scenario: Scenario, kind: str):
    return jax.jit(partial(over_drives, FILTERS[kind](scenario)))


def run_filter(scenario: Scenario, kind: str, drives: Drive) -> FilterEstimate:
    """Run a filter over a batch of drives in float64, a bounded number at a time."""
    with jax.enable_x64(True):
        run = _compiled(scenario, kind)
        count = drives.t.shape[0]
        pieces = [
            jax.tree.map(np.asarray, run(jax.tree.map(lambda a: a[i : i + CHUNK], drives)))
            for i in range(0, count, CHUNK)
        ]
    return jax.tree.map(lambda *a: np.concatenate(a), *pieces)


def every_tick(drives: Drive) -> Drive:
    """Cut a batch of drives so that each tick is an event; most see no measurement."""
    p = drives.packets
    batch, events, ticks = p.dt.shape
    first = np.arange(events * ticks) % ticks == 0

    def spread(a: np.ndarray) -> np.ndarray:
        a = np.repeat(np.asarray(a), ticks, axis=1)
        return np.where(first.reshape(-1, *[1] * (a.ndim - 2)), a, np.zeros_like(a))

    dt = np.asarray(p.dt).reshape(batch, -1, 1)
    begin = np.cumsum(np.asarray(p.dt), axis=2) - np.asarray(p.dt)
    t = (np.asarray(drives.t)[:, :, None] + begin).reshape(batch, -1)
    u = np.asarray(p.u).reshape(batch, events * ticks, 1, -1)
    return drives._replace(t=t, packets=Packet(spread(p.z), spread(p.seen), u, dt))


def make_drives(scenario: Scenario, data: DataConfig, seed: int, purpose: int, count: int) -> Drive:
    """Make drives for one purpose (a set's number, or a negative one for judging)."""
    key = jax.random.fold_in(jax.random.key(seed), purpose + 1_000_000)
    return simulate(scenario, key, count, data.seconds)


def teach(
    scenario: Scenario, data: DataConfig, drives: Drive, *, every: str, seed: int
) -> Taught:
    """Run the teacher over drives and compare a few stretches with filterpy.

    every: "event", or "tick" to cut the drives so that each tick is one.
    """
    if every == "tick":
        drives = every_tick(drives)
    run = run_filter(scenario, data.teacher, drives)
    difference = 0.0
    if data.check_stretches:
        difference = largest_difference(
            scenario, drives, run, kind=data.teacher, stretches=data.check_stretches, seed=seed
        )
    origin = origins(scenario, drives)[:, None]
    run = run._replace(
        mean=shift_states(scenario, run.mean, -origin),
        prior=shift_states(scenario, run.prior, -origin),
    )
    run = jax.tree.map(lambda a: np.asarray(a, np.float32), run)
    return Taught(localise(scenario, drives), run, difference)
