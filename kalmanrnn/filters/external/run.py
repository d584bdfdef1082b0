"""Turn an external teacher's estimates into a filter's run, so that students can learn from it."""

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


class _LabelledDrives(NamedTuple):
    """Drives with labels; `map_batches` counts them by `t`."""

    t: Any
    drives: Drive
    mean: Any
    cov: Any


def as_filter_run(scenario: Scenario, labels: Labels, drives: Drive) -> FilterEstimate:
    """Complete labels to a filter's estimates: `[B, E]` in front, float64.

    prior: the process from the teacher's last mean; at the first event the belief's mean.
    cov: the teacher's; if it gives none, that of an EKF linearised at the teacher's states, which
    only scales losses. innovation_cov: H P H' + R. gain: zeros, since it is unknown: students of
    kind "gain" learn from corrections instead.
    """
    cov = labels.cov
    given = _LabelledDrives(drives.t, drives._replace(truth=None), labels.mean, cov)
    with jax.enable_x64(True):
        run = map_batches(_compiled(scenario), given, CHUNK)  # pyright: ignore[reportArgumentType]
    return run._replace(mean=np.asarray(labels.mean), cov=run.cov if cov is None else cov)


@lru_cache(maxsize=8)
def _compiled(scenario: Scenario) -> Any:
    """Compile the EKF's steps along the given means."""
    step = ekf(scenario).step

    def one(drive: Drive, means: jax.Array, covs: jax.Array | None) -> FilterEstimate:
        def event(belief: Belief, at: Any) -> tuple[Belief, FilterEstimate]:
            packet, mean, cov = at
            estimate = step(belief, packet)[1]
            cov = estimate.cov if cov is None else cov
            unseen = packet._replace(seen=jnp.zeros_like(packet.seen))
            after, _ = step(Belief(mean, cov), unseen)
            zero = jnp.zeros_like(estimate.gain)
            return after, estimate._replace(mean=mean, cov=cov, gain=zero)

        return jax.lax.scan(event, drive.belief, (drive.packets, means, covs))[1]

    return jax.jit(lambda given: jax.vmap(one)(given.drives, given.mean, given.cov))
