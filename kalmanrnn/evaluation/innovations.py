"""Innovations of one drive by estimator, which need no truth."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.state_space import DEGREES
from kalmanrnn.evaluation.estimates import Estimates
from kalmanrnn.scenarios.propagation import propagate
from kalmanrnn.scenarios.scenario import Scenario


class Innovations(NamedTuple):
    """Readings minus an estimator's predictions of them; NaN where nothing was seen.

    channels, units: of the measurements `[Z]`, degrees for angles. t: `[E]` s.
    value: `[E, Z]` by estimator. sigma: their standard deviation by the filter's own account.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    t: np.ndarray
    value: dict[str, np.ndarray]
    sigma: dict[str, np.ndarray]


class InnovationStats(NamedTuple):
    """One estimator's innovations in one channel: root mean square, mean, share within 3 sigma."""

    rms: float
    mean: float
    inside: float | None


def collect_innovations(
    scenario: Scenario, drives: Drive, estimates: dict[str, Estimates]
) -> Innovations:
    """Return the first drive's innovations of every estimator that uses measurements."""
    seen = scenario.mask(np.asarray(drives.packets.seen)[0])
    channels = [c for s in scenario.sensors for c in s.channels]
    factor = np.array([DEGREES if c.unit.startswith("rad") else 1.0 for c in channels])
    value, sigma = {}, {}
    first = jax.tree.map(lambda a: np.asarray(a)[0], drives._replace(truth=None))
    for name, estimate in estimates.items():
        if estimate.blocks is not None or name == "dead_reckoning":
            continue
        found = estimate.innovation
        found = _expected(scenario, first, estimate.mean[0]) if found is None else found[0]
        value[name] = np.where(seen, found * factor, np.nan)
        if estimate.innovation_cov is not None:
            own = np.sqrt(np.diagonal(estimate.innovation_cov[0], axis1=-2, axis2=-1))
            sigma[name] = np.where(seen, own * factor, np.nan)
    return Innovations(
        channels=tuple(c.name for c in channels),
        units=tuple(c.unit.replace("rad", "deg") for c in channels),
        t=np.asarray(drives.t)[0] - np.asarray(drives.t)[0, 0],
        value=value,
        sigma=sigma,
    )


def innovation_stats(
    found: Innovations, name: str, channel: int, skip_s: float
) -> InnovationStats | None:
    """Summarise one estimator's innovations in one channel; None if nothing was seen."""
    evaluated = found.t >= skip_s
    v = found.value[name][evaluated, channel]
    known = np.isfinite(v)
    if not known.any():
        return None
    inside = None
    if name in found.sigma:
        sigma = found.sigma[name][evaluated, channel][known]
        inside = float((np.abs(v[known]) <= 3 * sigma).mean())
    return InnovationStats(float(np.sqrt((v[known] ** 2).mean())), float(v[known].mean()), inside)


def _expected(scenario: Scenario, drive: Drive, mean: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_run(scenario, drive, np.asarray(mean, float)))


@partial(jax.jit, static_argnums=0)
def _run(scenario: Scenario, drive: Drive, mean: jax.Array) -> jax.Array:
    """Predict each event from the estimate before by the process model; `[E, Z]` innovations."""
    predict = jax.vmap(partial(propagate, scenario.process))
    after = predict(mean[:-1], drive.packets.u[:-1], drive.packets.dt[:-1])
    prior = jax.numpy.concatenate([drive.belief.mean[None], after])
    expected = jax.vmap(scenario.measure)(prior)
    return jax.vmap(scenario.innovation)(drive.packets.z, expected)
