"""One estimator's metrics on a batch of drives."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.state_space import StateSpace
from kalmanrnn.evaluation import metrics
from kalmanrnn.evaluation.estimates import Estimates
from kalmanrnn.evaluation.metrics import ErrorSummary, StateGroup
from kalmanrnn.scenarios.scenario import Scenario

QUANTILES = np.linspace(0.0, 1.0, 201)


class EstimatorMetrics(NamedTuple):
    """One estimator's metrics; dictionaries are by group and lack those it does not estimate.

    With a truth, else empty or None: errors: over drives and events after the burn-in.
    per_drive: RMSE `[B]`. over_time: RMS over drives `[E]`. quantiles: of the error at
    `QUANTILES`. diverged: `[B]`. nees: `[E]`, per dimension, mean over drives; nees_mean.
    With or without: sigma: `[E]`, root mean square over drives of its own standard deviation.
    nis_mean: per dimension, 1 if consistent.
    """

    errors: dict[str, ErrorSummary]
    per_drive: dict[str, np.ndarray]
    over_time: dict[str, np.ndarray]
    quantiles: dict[str, np.ndarray]
    diverged: np.ndarray | None
    sigma: dict[str, np.ndarray]
    nees: np.ndarray | None
    nees_mean: float | None
    nis_mean: float | None
    us_per_tick: float | None


class StateErrors(NamedTuple):
    """One estimator's errors at all events.

    tangent, known: `[B, E, D]`, and whether the truth is known. norms: `[B, E]` by group.
    """

    tangent: np.ndarray
    known: np.ndarray
    norms: dict[str, np.ndarray]


def tangent_errors(space: StateSpace, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the tangent vectors `[B, E, D]` from states x to states y, in float64."""
    with jax.enable_x64(True):
        return np.asarray(_difference(space, np.asarray(y, float), np.asarray(x, float)))


@partial(jax.jit, static_argnums=0)
def _difference(space: StateSpace, y: Any, x: Any) -> Any:
    return jax.vmap(jax.vmap(space.difference))(y, x)


def state_errors(
    space: StateSpace,
    groups: tuple[StateGroup, ...],
    truth: np.ndarray,
    mean: np.ndarray,
    blocks: tuple[str, ...] | None = None,
) -> StateErrors:
    """Compare estimates with the truth, block by block; a truth of NaN is unknown."""
    d = tangent_errors(space, truth, mean)
    known = np.empty(d.shape, bool)
    for b in space.blocks:
        finite = np.isfinite(truth[..., space.state_slice(b.name)]).all(axis=-1, keepdims=True)
        known[..., space.tangent_slice(b.name)] = finite & (blocks is None or b.name in blocks)
    return StateErrors(d, known, {g.name: metrics.error_norms(g, d, known) for g in groups})


def summarise(
    scenario: Scenario,
    groups: tuple[StateGroup, ...],
    drives: Drive,
    estimate: Estimates,
    errors: StateErrors | None,
    teacher: StateErrors | None,
    evaluated: np.ndarray,
) -> EstimatorMetrics:
    """Summarise one estimator; `evaluated`: `[B, E]`, False in the burn-in."""
    size = {} if errors is None else errors.norms
    size = {name: s for name, s in size.items() if not np.isnan(s[evaluated]).all()}
    only_evaluated = {name: np.where(evaluated, s, np.nan) for name, s in size.items()}
    diverged = None
    if teacher is not None:
        diverged = np.zeros(len(evaluated), bool)
        for name in [scenario.origin] if scenario.origin in size else size:
            diverged |= metrics.diverged(
                size[name], np.where(evaluated, teacher.norms[name], np.nan)
            )
    nees = None if errors is None or estimate.cov is None else _nees(errors, estimate.cov)
    return EstimatorMetrics(
        errors={name: metrics.summarise_errors(s) for name, s in only_evaluated.items()},
        per_drive={name: np.sqrt(metrics.mean_square(s)) for name, s in only_evaluated.items()},
        over_time={name: np.sqrt(metrics.mean_square(s.T)) for name, s in size.items()},
        quantiles={
            name: np.quantile(s[~np.isnan(s)], QUANTILES, method="inverted_cdf")
            for name, s in only_evaluated.items()
        },
        diverged=diverged,
        sigma={} if estimate.cov is None else {g.name: _sigma(g, estimate.cov) for g in groups},
        nees=None if nees is None else _mean(nees, axis=0),
        nees_mean=None if nees is None else float(_mean(nees[evaluated])),
        nis_mean=_nis(scenario, drives, estimate, evaluated),
        us_per_tick=estimate.us_per_tick,
    )


def _mean(a: np.ndarray, axis: int | None = None) -> Any:
    """Return the mean without NaN; NaN if nothing is left."""
    count = np.sum(~np.isnan(a), axis=axis)
    return np.where(count > 0, np.nansum(a, axis=axis) / np.maximum(count, 1), np.nan)


def _nees(errors: StateErrors, cov: np.ndarray) -> np.ndarray:
    """Return NEES per dimension `[B, E]`, over the dimensions whose truth is known somewhere."""
    some = np.flatnonzero(errors.known.any(axis=(0, 1)))
    values = [
        metrics.mahalanobis(d[:, some], p[:, some][:, :, some])
        for d, p in zip(np.where(errors.known, errors.tangent, np.nan), cov, strict=True)
    ]
    return np.stack(values) / max(some.size, 1)


def _nis(
    scenario: Scenario, drives: Drive, estimate: Estimates, evaluated: np.ndarray
) -> float | None:
    """Return NIS per seen dimension after the burn-in."""
    if estimate.innovation is None or estimate.innovation_cov is None:
        return None
    seen = np.asarray(drives.packets.seen)[..., scenario.sensor_of][evaluated]
    # Columns not seen have innovation 0 and variance 1, so they add nothing.
    values = metrics.mahalanobis(estimate.innovation[evaluated], estimate.innovation_cov[evaluated])
    finite = np.isfinite(values)
    return float(values[finite].sum() / max(seen[finite].sum(), 1))


def _sigma(group: StateGroup, cov: np.ndarray) -> np.ndarray:
    variance = np.trace(cov[..., group.columns, group.columns], axis1=-2, axis2=-1)
    return np.sqrt(_mean(variance, axis=0)) * group.factor
