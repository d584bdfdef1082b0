"""Training sets: drives with their teacher's run beside them, checked against filterpy."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import DataConfig
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.data.local_frame import localise, origins, shift_states, split_into_ticks
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.filters.filterpy_reference import largest_difference
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import map_batches, rollout
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.simulation import simulate_batch

AGREEMENT = 1e-6
CHUNK = 128


class TeacherRun(NamedTuple):
    """Drives and their teacher's estimates, in each drive's own origin, float32.

    difference: the largest relative difference from filterpy, over the segments checked.
    failures: drives on which a filter of the user's own failed; others replace them.
    """

    drives: Drive
    run: FilterEstimate
    difference: float
    failures: int = 0
    first_failure: str = ""


@lru_cache(maxsize=8)
def _compiled(scenario: Scenario, kind: str) -> Callable[[Drive], FilterEstimate]:
    return jax.jit(partial(rollout, FILTERS[kind](scenario)))


def teacher_estimates(scenario: Scenario, kind: str, drives: Drive) -> FilterEstimate:
    """Run a filter over a batch of drives in float64, a bounded number at a time."""
    with jax.enable_x64(True):
        return map_batches(_compiled(scenario, kind), drives, CHUNK)


def make_drives(scenario: Scenario, data: DataConfig, seed: int, purpose: int, count: int) -> Drive:
    """Simulate drives for one purpose: a set's number, or VALIDATION or TEST."""
    key = jax.random.fold_in(jax.random.key(seed), purpose + 1_000_000)
    return simulate_batch(scenario, key, count, data.seconds)


def run_teacher(
    scenario: Scenario, data: DataConfig, drives: Drive, *, every: str, seed: int
) -> TeacherRun:
    """Run one of our filters over drives and compare a few segments with filterpy.

    every: "event", or "tick" to cut the drives so that each tick is one.
    """
    if every == "tick":
        drives = split_into_ticks(drives)
    run = teacher_estimates(scenario, data.teacher, drives)
    difference = 0.0
    if data.check_segments:
        difference = largest_difference(
            scenario, drives, run, kind=data.teacher, segments=data.check_segments, seed=seed
        )
    return localise_run(scenario, drives, run, difference)


def localise_run(
    scenario: Scenario, drives: Drive, run: FilterEstimate, difference: float
) -> TeacherRun:
    """Move drives and their run to each drive's own origin, in float32."""
    origin = origins(scenario, drives)[:, None]
    run = run._replace(
        mean=shift_states(scenario, run.mean, -origin),
        prior=shift_states(scenario, run.prior, -origin),
    )
    run = jax.tree.map(lambda a: np.asarray(a, np.float32), run)
    return TeacherRun(localise(scenario, drives), run, difference)
