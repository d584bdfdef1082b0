"""From drives and teacher's estimates to what a student learns from.

The one place where float64 becomes float32: positions are first taken relative to each drive's
own origin, so that a robot far from the world's origin loses nothing.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.scenarios.scenario import Scenario


def origins(scenario: Scenario, drives: Drive) -> np.ndarray:
    """Return each drive's own origin `[B, n]` in the world, float64; n may be 0."""
    mean = np.asarray(drives.belief.mean)
    if not scenario.origin:
        return np.zeros((*mean.shape[:-1], 0))
    return np.round(mean[..., scenario.space.state_slice(scenario.origin)])


def shift_states(scenario: Scenario, states: Any, offset: np.ndarray) -> np.ndarray:
    """Add an offset `[..., n]` to the origin block of states `[..., X]`."""
    states = np.array(states)
    if scenario.origin:
        states[..., scenario.space.state_slice(scenario.origin)] += offset
    return states


def localise(scenario: Scenario, drives: Drive) -> Drive:
    """Take drives to their own origins and to float32."""
    origin = origins(scenario, drives)
    columns = scenario.origin_columns
    absolute = columns >= 0
    z = np.array(drives.packets.z)
    z[..., absolute] -= origin[..., None, columns[absolute]]
    z = np.where(scenario.mask(np.asarray(drives.packets.seen)), z, 0.0)
    mean = shift_states(scenario, drives.belief.mean, -origin)
    truth = drives.truth
    if truth is not None:
        truth = shift_states(scenario, truth, -origin[..., None, :])
    local = drives._replace(
        packets=drives.packets._replace(z=z), belief=Belief(mean, drives.belief.cov), truth=truth
    )
    return jax.tree.map(_single, local)


def _single(a: Any) -> np.ndarray:
    a = np.asarray(a)
    return a.astype(np.float32) if a.dtype == np.float64 else a


def split_into_ticks(drives: Drive) -> Drive:
    """Cut a batch of drives so that each tick is an event; most see no measurement."""
    p = drives.packets
    batch, events, ticks = p.dt.shape
    first = np.arange(events * ticks) % ticks == 0

    def spread(a: np.ndarray) -> np.ndarray:
        a = np.repeat(np.asarray(a), ticks, axis=1)
        return np.where(first.reshape(-1, *[1] * (a.ndim - 2)), a, np.zeros_like(a))

    dt = np.asarray(p.dt).reshape(batch, -1, 1)
    begin = np.cumsum(np.asarray(p.dt), axis=2) - np.asarray(p.dt)
    t = (np.asarray(drives.t)[:, :, None] + begin).reshape(batch, -1)
    u = np.asarray(p.u).reshape(batch, events * ticks, 1, -1)
    return drives._replace(t=t, packets=Packet(spread(p.z), spread(p.seen), u, dt))
