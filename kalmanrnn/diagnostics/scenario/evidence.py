"""Run a scenario's simulator, models and UKF once, for all checks.

Three programs, traced one after another and compiled in parallel: compilation dominates the time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.diagnostics.scenario.samples import Samples, draw_random, sample_models
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.simulation import initial_belief, simulate_drive

DRIVES, SECONDS, MAX_TICKS, MIN_EVENTS = 16, 30.0, 3000, 40
DRAWS = 16
# Compiles in a third of the time; the programs run no slower.
QUICK_COMPILE: Any = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}


class Evidence(NamedTuple):
    """What a scenario's functions returned; B drives of E events and T ticks, float64.

    drives, run: simulated drives and the UKF's estimates; error: `[B, E, D]` truth less mean.
    truth: `[B, T + 1, X]`. u: `[B, T, U]`. draws: `[B, n, D]` truth less drawn first beliefs.
    after: `[B, T, X]` f(truth, u). residual: `[B, T, D]` the next truth less that.
    noise: `[B, T, D]` the diagonal of Q. slope: `[c, T, D, D]` F and chain: `[c, E, D, D]` its
    product up to each event and reading_slope: `[c, E, Z, D]` H, of the first c drives.
    samples: models tried at states round the truth.
    """

    drives: Drive
    run: FilterEstimate
    error: np.ndarray
    truth: np.ndarray
    u: np.ndarray
    initial_error: np.ndarray
    after: np.ndarray
    residual: np.ndarray
    noise: np.ndarray
    process_jacobian: np.ndarray
    transition: np.ndarray
    measurement_jacobian: np.ndarray
    samples: Samples


def collect_evidence(scenario: Scenario, seed: int) -> Evidence:
    """Run everything; the scenario's functions must be known to trace."""
    events = round(min(SECONDS, MAX_TICKS / scenario.tick_hz) * scenario.event_hz)
    events = max(events, MIN_EVENTS)
    with jax.enable_x64(True):
        keys, white = jax.random.split(jax.random.key(seed), DRIVES), draw_random(scenario, seed)
        drives, truth, u, _ = jax.eval_shape(
            make := jax.jit(simulate_batch(scenario, events)), keys
        )
        programs = [
            (make, (keys,)),
            (jax.jit(partial(run_ukf, scenario)), (drives,)),
            (jax.jit(partial(sample_models, scenario)), (truth, u, white)),
        ]
        # Compilation does not trace, so threads are safe here.
        with ThreadPoolExecutor(len(programs)) as pool:
            lowered = (program.lower(*takes) for program, takes in programs)
            started = [pool.submit(compile_quickly, one) for one in lowered]
        made = [one.result() for one in started]
        drives, truth, u, draws = made[0](keys)
        run, error = made[1](drives)
        seen = made[2](truth, u, white)
        return jax.tree.map(np.asarray, Evidence(drives, run, error, truth, u, draws, *seen))


def compile_quickly(lowered: Any) -> Any:
    """Compile quickly where this version of jax can, else as usual."""
    try:
        return lowered.compile(compiler_options=QUICK_COMPILE)
    except jax.errors.JaxRuntimeError:
        return lowered.compile()


def simulate_batch(scenario: Scenario, events: int) -> Any:
    """Return `simulate_truth` over a batch of keys."""
    return jax.vmap(partial(simulate_with_truth, scenario, events=events))


def simulate_with_truth(
    scenario: Scenario, key: jax.Array, *, events: int
) -> tuple[Drive, Any, Any, Any]:
    """Simulate a drive; keep the truth at every tick and more draws of the initial belief."""
    world_key, drive_key, draw_key = jax.random.split(key, 3)
    ticks = events * scenario.ticks_per_event
    made = scenario.simulate_truth(world_key, ticks)
    recorded = replace(scenario, simulate_truth=lambda *_: made)
    drive = simulate_drive(recorded, drive_key, events=events)
    truth, u = made

    def draw(key):
        return scenario.space.difference(truth[0], initial_belief(scenario, key, truth[0]).mean)

    return drive, truth, u, jax.vmap(draw)(jax.random.split(draw_key, DRAWS))


def run_ukf(scenario: Scenario, drives: Drive) -> tuple[FilterEstimate, Any]:
    """Run the UKF; return its estimates and their errors."""
    run = rollout(FILTERS["ukf"](scenario), drives)
    truth: Any = drives.truth
    return run, jax.vmap(jax.vmap(scenario.space.difference))(truth, run.mean)
