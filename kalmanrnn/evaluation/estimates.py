"""Tracks: what an estimator said over a batch of drives; and those of the baselines.

Baselines are the filters and what one has without any: the last GPS reading, dead reckoning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Estimate, Estimator, Packet
from kalmanrnn.data.local_frame import localise, origins, shift_states, split_into_ticks
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import map_batches, rollout
from kalmanrnn.models.student import Normaliser, Student, estimator
from kalmanrnn.scenarios.propagation import propagate
from kalmanrnn.scenarios.scenario import Scenario

BASELINES = ("gps", "dead_reckoning", "ekf", "ukf")
BATCH = 64
TIMED_EVENTS = 100
TIMED_RUNS = 5


class Estimates(NamedTuple):
    """What one estimator said over drives, in world coordinates, float64.

    mean: `[B, E, X]`. cov: `[B, E, D, D]`, or None from one that has none.
    us_per_tick: microseconds, as `microseconds_per_tick` measures them.
    innovation: `[B, E, Z]`, innovation_cov: `[B, E, Z, Z]`, from filters.
    blocks: names of the state blocks it speaks of, None for all of them.
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
    """Return the baselines' tracks; "gps" is left out where no sensor reads the origin block."""
    tracks = {}
    for kind in kinds:
        if kind != "gps":
            tracks[kind] = run_filter(scenario, drives, kind)
        elif (scenario.origin_columns >= 0).any():
            tracks[kind] = zero_order_hold(scenario, drives)
    return tracks


def origin_sensor(scenario: Scenario) -> tuple[int, np.ndarray]:
    """Return the first sensor that reads the origin block, and its columns in `[Z]`."""
    columns = scenario.origin_columns
    sensor = int(scenario.sensor_of[np.argmax(columns >= 0)])
    return sensor, np.flatnonzero((scenario.sensor_of == sensor) & (columns >= 0))


def zero_order_hold(scenario: Scenario, drives: Drive) -> Estimates:
    """Hold the last seen reading of the origin block; before the first one, the first belief."""
    sensor, mine = origin_sensor(scenario)
    seen = np.asarray(drives.packets.seen)[..., sensor]
    z = np.asarray(drives.packets.z)[..., mine]
    last = np.maximum.accumulate(np.where(seen, np.arange(seen.shape[1]), -1), axis=1)
    held = np.take_along_axis(z, np.maximum(last, 0)[..., None], axis=1)
    place = scenario.space.state_slice(scenario.origin).start
    place = place + scenario.origin_columns[mine]
    first = np.asarray(drives.belief.mean)[:, None, place]
    mean = np.full((*seen.shape, scenario.space.state_dim), np.nan)
    mean[..., place] = np.where((last >= 0)[..., None], held, first)
    return Estimates(mean, blocks=(scenario.origin,))


def dead_reckoning(scenario: Scenario) -> Estimator:
    """Make the estimator that trusts the process model alone and never looks at a measurement."""

    def init(belief: Belief) -> Any:
        return belief.mean

    def step(x: Any, packet: Packet) -> tuple[Any, Estimate]:
        return propagate(scenario.process, x, packet.u, packet.dt), Estimate(x, None)

    return Estimator(init, step)


MAKERS = {"dead_reckoning": dead_reckoning, **FILTERS}


def run_filter(scenario: Scenario, drives: Drive, kind: str, *, batch: int = BATCH) -> Estimates:
    """Run "ekf", "ukf" or "dead_reckoning" over drives in float64, `batch` of them at a time."""
    if kind not in MAKERS:
        raise ValueError(f"kind must be one of {sorted(MAKERS)}, got {kind!r}")
    with jax.enable_x64(True):
        drives = jax.tree.map(np.asarray, drives._replace(truth=None))
        whole = map_batches(partial(_run, scenario, kind), drives, batch)
        us = microseconds_per_tick(partial(_run, scenario, kind), drives)
    return Estimates(us_per_tick=us, **whole)  # pyright: ignore[reportArgumentType]


@partial(jax.jit, static_argnums=(0, 1))
def _run(scenario: Scenario, kind: str, drives: Drive) -> dict[str, Any]:
    """Return the track's arrays only; the compiler drops the rest of what a filter gives."""
    estimates = rollout(MAKERS[kind](scenario), drives)
    fields = ("mean", "cov", "innovation", "innovation_cov")
    found = {name: getattr(estimates, name, None) for name in fields}
    return {name: value for name, value in found.items() if value is not None}


def run_student(student: Student, params: Any, norm: Normaliser, drives: Drive) -> Estimates:
    """Run a student over drives in float32, each in its own origin."""
    scenario = student.scenario
    origin = origins(scenario, drives)[:, None]
    every = student.config.every == "tick"
    run = jax.jit(partial(rollout, estimator(student, params, norm)))
    local = localise(scenario, drives._replace(truth=None))
    us = microseconds_per_tick(lambda d: run(split_into_ticks(d) if every else d).mean, local)
    mean = map_batches(lambda d: run(split_into_ticks(d) if every else d).mean, local, BATCH)
    mean = mean[:, :: mean.shape[1] // local.t.shape[1]].astype(float)
    return Estimates(shift_states(scenario, mean, origin), us_per_tick=us)


def microseconds_per_tick(run: Callable[[Drive], Any], drives: Drive) -> float:
    """Time a jitted function of drives on one drive alone, warm: what one robot would see.

    The median of five runs over the first 100 events, after one that compiles; ticks of length
    0 are padding and not counted. It is the time of a whole scan divided by its ticks, without
    the cost of calling it from outside once per event.
    """
    packets = jax.tree.map(lambda a: np.asarray(a)[:1, :TIMED_EVENTS], drives.packets)
    belief = jax.tree.map(lambda a: np.asarray(a)[:1], drives.belief)
    one = Drive(np.asarray(drives.t)[:1, :TIMED_EVENTS], packets, belief, None)
    jax.block_until_ready(run(one))
    taken = []
    for _ in range(TIMED_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(run(one))
        taken.append(time.perf_counter() - start)
    return float(1e6 * np.median(taken) / max(np.count_nonzero(packets.dt), 1))
