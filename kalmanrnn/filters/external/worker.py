"""Run a user's teacher over one drive, in numpy float64; made for other processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.core.state_space import StateSpace
from kalmanrnn.filters.external.loading import FilterSpec, describe_error, make_filter

# A quaternion that a filter renormalises now and then is this close to length 1.
UNIT = 1e-3


class FilterOutput(NamedTuple):
    """What a teacher said over a drive, or why it could not.

    mean: `[E, X]`, or None. cov: `[E, D, D]`, or None. failure: empty where all went well.
    """

    mean: np.ndarray | None
    cov: np.ndarray | None
    failure: str


@lru_cache(maxsize=1)
def _made(order: FilterSpec) -> Any:
    return make_filter(order, None)


def run_spec(order: FilterSpec, drive: Drive, space: StateSpace) -> FilterOutput:
    """Run the ordered teacher over a drive; the file is loaded once in each process."""
    return run_external(_made(order), drive, space)


def run_external(teacher: Any, drive: Drive, space: StateSpace) -> FilterOutput:
    """Hand a drive's events to a teacher one by one."""
    means, covs = [], []
    try:
        teacher.init(Belief(*(np.array(a, float) for a in drive.belief)))
        z, seen, u, dt = (np.asarray(a) for a in drive.packets)
        for event in range(len(z)):
            # Copies: a filter that writes into what it is given spoils nothing.
            packet = Packet(*(a[event].copy() for a in (z, seen, u, dt)))
            mean, cov = _read(teacher.step(packet), event, space)
            means.append(mean)
            covs.append(cov)
    except (Exception, SystemExit) as error:
        return FilterOutput(None, None, describe_error(error))
    if any(c is None for c in covs) and any(c is not None for c in covs):
        return FilterOutput(None, None, "it gives a covariance at some events and none at others")
    return FilterOutput(np.stack(means), None if covs[0] is None else np.stack(covs), "")


def _read(said: Any, event: int, space: StateSpace) -> tuple[np.ndarray, Any]:
    """Take mean and covariance out of whatever a step gave; ValueError where it cannot be."""
    state, tangent = space.state_dim, space.tangent_dim
    if hasattr(said, "mean") and not isinstance(said, np.ndarray) and not callable(said.mean):
        mean, cov = said.mean, getattr(said, "cov", None)
    elif isinstance(said, tuple):
        if len(said) != 2:
            raise ValueError(f"step must return (mean, cov) or mean, got {len(said)} values")
        mean, cov = said
    else:
        mean, cov = said, None
    mean = np.array(mean, float)
    if mean.shape != (state,):
        raise ValueError(f"mean must be [{state}], got {list(mean.shape)} at event {event}")
    if not np.isfinite(mean).all():
        raise ValueError(f"mean is not finite at event {event}")
    for block in space.blocks:
        if block.kind == "rotation":
            length = float(np.linalg.norm(mean[space.state_slice(block.name)]))
            if abs(length - 1) > UNIT:
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


def init_worker() -> None:
    """Leave Ctrl-C to the parent and the accelerator alone; a teacher's jax is float64."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the parent has gone, even if it was killed: its queue would never tell."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
