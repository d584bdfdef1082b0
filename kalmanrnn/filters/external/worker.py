"""Run a user's teacher over one drive, in numpy float64, in a worker process."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.core.state_space import StateSpace
from kalmanrnn.filters.external.loading import FilterSpec, describe_error, make_filter

# A filter may renormalise its quaternion only now and then.
UNIT_TOLERANCE = 1e-3


class FilterOutput(NamedTuple):
    """A teacher's estimates over a drive, or why it failed.

    mean: `[E, X]`, or None. cov: `[E, D, D]`, or None. failure: empty on success.
    """

    mean: np.ndarray | None
    cov: np.ndarray | None
    failure: str


@lru_cache(maxsize=1)
def _cached_filter(spec: FilterSpec) -> Any:
    return make_filter(spec, None)


def run_spec(spec: FilterSpec, drive: Drive, space: StateSpace) -> FilterOutput:
    """Run the teacher over a drive; its file is loaded once per process."""
    return run_external(_cached_filter(spec), drive, space)


def run_external(teacher: Any, drive: Drive, space: StateSpace) -> FilterOutput:
    """Pass a drive's events to a teacher one by one."""
    means, covs = [], []
    try:
        teacher.init(Belief(*(np.array(a, float) for a in drive.belief)))
        z, seen, u, dt = (np.asarray(a) for a in drive.packets)
        for event in range(len(z)):
            # Copies: a filter may write into its arguments.
            packet = Packet(*(a[event].copy() for a in (z, seen, u, dt)))
            mean, cov = _parse_estimate(teacher.step(packet), event, space)
            means.append(mean)
            covs.append(cov)
    except (Exception, SystemExit) as error:
        return FilterOutput(None, None, describe_error(error))
    if any(c is None for c in covs) and any(c is not None for c in covs):
        return FilterOutput(None, None, "it returns a covariance at some events and none at others")
    return FilterOutput(np.stack(means), None if covs[0] is None else np.stack(covs), "")


def _parse_estimate(output: Any, event: int, space: StateSpace) -> tuple[np.ndarray, Any]:
    """Return the mean and covariance of a step's return value; ValueError if it is unusable."""
    state, tangent = space.state_dim, space.tangent_dim
    if hasattr(output, "mean") and not isinstance(output, np.ndarray) and not callable(output.mean):
        mean, cov = output.mean, getattr(output, "cov", None)
    elif isinstance(output, tuple):
        if len(output) != 2:
            raise ValueError(f"step must return (mean, cov) or mean, got {len(output)} values")
        mean, cov = output
    else:
        mean, cov = output, None
    mean = np.array(mean, float)
    if mean.shape != (state,):
        raise ValueError(f"mean must be [{state}], got {list(mean.shape)} at event {event}")
    if not np.isfinite(mean).all():
        raise ValueError(f"mean is not finite at event {event}")
    for block in space.blocks:
        if block.kind == "rotation":
            length = float(np.linalg.norm(mean[space.state_slice(block.name)]))
            if abs(length - 1) > UNIT_TOLERANCE:
                raise ValueError(
                    f"{block.name}'s quaternion has length {length:.4g} at event {event}"
                )
    if cov is None:
        return mean, None
    cov = np.array(cov, float)
    if cov.shape != (tangent, tangent):
        raise ValueError(
            f"cov must be [{tangent}, {tangent}], got {list(cov.shape)} at event {event}"
        )
    if not (np.isfinite(cov).all() and (np.diag(cov) > 0).all()):
        raise ValueError(f"cov is not finite or has a variance of 0 or less at event {event}")
    return mean, cov


def use_float64() -> None:
    """Make a worker's jax run in float64, for teachers that use it."""
    import jax

    jax.config.update("jax_enable_x64", True)
