"""Lay an own teacher's estimates out as a filter's run, so that students learn from it alike."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive
from kalmanrnn.filters.ekf import FilterEstimate, ekf
from kalmanrnn.filters.external.labels import Labels
from kalmanrnn.filters.rollout import map_batches
from kalmanrnn.scenarios.scenario import Scenario

CHUNK = 128


class _Given(NamedTuple):
    """Drives and what was said of them, under the name that `in_batches` counts by."""

    t: Any
    drives: Drive
    mean: Any
    cov: Any


def as_filter_run(scenario: Scenario, labels: Labels, drives: Drive) -> FilterEstimate:
    """Return what a filter would have said beside: `[B, E]` in front, float64.

    prior: the process carried on from the teacher's last mean; at the first event the belief's.
    cov: the teacher's; from one that has none, what an EKF would believe that corrects at the
    teacher's states. It scales losses and nothing else. innovation_cov: H P H' + R. gain: zeros,
    because nobody knows it: students of kind "gain" must learn from moves instead.
    """
    cov = labels.cov
    given = _Given(drives.t, drives._replace(truth=None), labels.mean, cov)
    with jax.enable_x64(True):
        run = map_batches(_compiled(scenario), given, CHUNK)  # pyright: ignore[reportArgumentType]
    return run._replace(mean=np.asarray(labels.mean), cov=run.cov if cov is None else cov)


@lru_cache(maxsize=8)
def _compiled(scenario: Scenario) -> Any:
    """Compile the EKF's steps along given means."""
    step = ekf(scenario).step

    def one(drive: Drive, means: jax.Array, covs: jax.Array | None) -> FilterEstimate:
        def event(belief: Belief, at: Any) -> tuple[Belief, FilterEstimate]:
            packet, mean, cov = at
            said = step(belief, packet)[1]
            cov = said.cov if cov is None else cov
            blind = packet._replace(seen=jnp.zeros_like(packet.seen))
            after, _ = step(Belief(mean, cov), blind)
            said = said._replace(mean=mean, cov=cov, gain=jnp.zeros_like(said.gain))
            return after, said

        return jax.lax.scan(event, drive.belief, (drive.packets, means, covs))[1]

    return jax.jit(lambda given: jax.vmap(one)(given.drives, given.mean, given.cov))
