"""Estimates over a batch of drives: a student's, the filters', and those of simpler baselines.

The simpler ones need no filter: the last GPS reading, and dead reckoning.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Estimate, Estimator, Packet
from kalmanrnn.data.local_frame import localise, origins, shift_states, split_into_ticks
from kalmanrnn.evaluation.timing import microseconds_per_tick
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import map_batches, rollout
from kalmanrnn.models.student import Normaliser, Student, estimator
from kalmanrnn.scenarios.propagation import propagate
from kalmanrnn.scenarios.scenario import Scenario

BASELINES = ("gps", "dead_reckoning", "ekf", "ukf")
BATCH = 64


class Estimates(NamedTuple):
    """One estimator's estimates over drives, in world coordinates, float64.

    mean: `[B, E, X]`. cov: `[B, E, D, D]`, or None if it has none.
    us_per_tick: microseconds, as `microseconds_per_tick` measures them.
    innovation: `[B, E, Z]`, innovation_cov: `[B, E, Z, Z]`, from filters.
    blocks: names of the state blocks it estimates, None for all.
    """

    mean: np.ndarray
    cov: np.ndarray | None = None
    us_per_tick: float | None = None
    innovation: np.ndarray | None = None
    innovation_cov: np.ndarray | None = None
    blocks: tuple[str, ...] | None = None


def run_baselines(
    scenario: Scenario, drives: Drive, kinds: Iterable[str] = BASELINES
) -> dict[str, Estimates]:
    """Run the baselines; "gps" is left out if no sensor observes the origin block."""
    found = {}
    for kind in kinds:
        if kind != "gps":
            found[kind] = run_filter(scenario, drives, kind)
        elif (scenario.origin_columns >= 0).any():
            found[kind] = zero_order_hold(scenario, drives)
    return found


def origin_sensor(scenario: Scenario) -> tuple[int, np.ndarray]:
    """Return the first sensor that observes the origin block, and its columns in `[Z]`."""
    columns = scenario.origin_columns
    sensor = int(scenario.sensor_of[np.argmax(columns >= 0)])
    return sensor, np.flatnonzero((scenario.sensor_of == sensor) & (columns >= 0))


def zero_order_hold(scenario: Scenario, drives: Drive) -> Estimates:
    """Hold the last seen reading of the origin block; before the first, the initial belief."""
    sensor, columns = origin_sensor(scenario)
    seen = np.asarray(drives.packets.seen)[..., sensor]
    z = np.asarray(drives.packets.z)[..., columns]
    last = np.maximum.accumulate(np.where(seen, np.arange(seen.shape[1]), -1), axis=1)
    held = np.take_along_axis(z, np.maximum(last, 0)[..., None], axis=1)
    start = scenario.space.state_slice(scenario.origin).start
    position = start + scenario.origin_columns[columns]
    first = np.asarray(drives.belief.mean)[:, None, position]
    mean = np.full((*seen.shape, scenario.space.state_dim), np.nan)
    mean[..., position] = np.where((last >= 0)[..., None], held, first)
    return Estimates(mean, blocks=(scenario.origin,))


def dead_reckoning(scenario: Scenario) -> Estimator:
    """Make the estimator that uses the process model alone and no measurement."""

    def init(belief: Belief) -> Any:
        return belief.mean

    def step(x: Any, packet: Packet) -> tuple[Any, Estimate]:
        return propagate(scenario.process, x, packet.u, packet.dt), Estimate(x, None)

    return Estimator(init, step)


ESTIMATORS = {"dead_reckoning": dead_reckoning, **FILTERS}


def run_filter(scenario: Scenario, drives: Drive, kind: str, *, batch: int = BATCH) -> Estimates:
    """Run "ekf", "ukf" or "dead_reckoning" over drives in float64, `batch` of them at a time."""
    if kind not in ESTIMATORS:
        raise ValueError(f"kind must be one of {sorted(ESTIMATORS)}, got {kind!r}")
    with jax.enable_x64(True):
        drives = jax.tree.map(np.asarray, drives._replace(truth=None))
        found = map_batches(partial(_run, scenario, kind), drives, batch)
        us = microseconds_per_tick(partial(_run, scenario, kind), drives)
    return Estimates(us_per_tick=us, **found)  # pyright: ignore[reportArgumentType]


@partial(jax.jit, static_argnums=(0, 1))
def _run(scenario: Scenario, kind: str, drives: Drive) -> dict[str, Any]:
    """Return only the arrays of `Estimates`, so that the compiler drops a filter's others."""
    steps = rollout(ESTIMATORS[kind](scenario), drives)
    fields = ("mean", "cov", "innovation", "innovation_cov")
    found = {name: getattr(steps, name, None) for name in fields}
    return {name: value for name, value in found.items() if value is not None}


def run_student(student: Student, params: Any, norm: Normaliser, drives: Drive) -> Estimates:
    """Run a student over drives in float32, each in its own origin."""
    scenario = student.scenario
    origin = origins(scenario, drives)[:, None]
    by_tick = student.config.every == "tick"
    run = jax.jit(partial(rollout, estimator(student, params, norm)))
    local = localise(scenario, drives._replace(truth=None))
    us = microseconds_per_tick(lambda d: run(split_into_ticks(d) if by_tick else d).mean, local)
    mean = map_batches(lambda d: run(split_into_ticks(d) if by_tick else d).mean, local, BATCH)
    mean = mean[:, :: mean.shape[1] // local.t.shape[1]].astype(float)
    return Estimates(shift_states(scenario, mean, origin), us_per_tick=us)
