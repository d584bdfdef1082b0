"""The time an estimator takes per tick, measured on one drive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive

TIMED_EVENTS = 100
TIMED_RUNS = 5


def microseconds_per_tick(run: Callable[[Drive], Any], drives: Drive) -> float:
    """Time a jitted function of drives on a single drive, as on one robot.

    The median of five runs over the first 100 events, after one that compiles, divided by the
    number of ticks; padding (dt = 0) does not count. A whole scan is timed, without the cost of
    a call from Python per event.
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
