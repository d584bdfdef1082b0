"""Training sets made ahead of time by a second process; which set is which follows the seed.

A process and not a thread: filters run in float64, training in float32, and jax's switch
between them does not bear two threads that trace at the same time. A scenario travels to it by
cloudpickle, so that one made in a notebook does too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cloudpickle
from loky import ProcessPoolExecutor

from kalmanrnn.core.config import RunConfig
from kalmanrnn.core.worker_process import worker_pool
from kalmanrnn.data.datasets import build_dataset
from kalmanrnn.data.teacher_runs import TeacherRun
from kalmanrnn.scenarios.scenario import Scenario

# A worker that waits longer for the next training exits.
IDLE_S = 60.0


@contextmanager
def prefetch(
    scenario: Scenario, config: RunConfig, last: int, folder: Path, *, quiet: bool = True
) -> Iterator[Callable[[int], TeacherRun]]:
    """Give a function that returns a set by number and starts on the next one."""
    started: dict[int, Future[TeacherRun]] = {}
    packed = cloudpickle.dumps(scenario)
    pool = _pool()

    def fetch(index: int) -> TeacherRun:
        for wanted in (index, index + 1):
            if wanted not in started and wanted <= last:
                started[wanted] = pool.submit(_build, packed, config, wanted, folder, quiet)
        for old in [i for i in started if 0 <= i < index]:
            del started[old]
        return started[index].result()

    try:
        yield fetch
    finally:
        if not all(future.done() for future in started.values()):
            # A set that nobody waits for any more would delay the next training.
            pool.shutdown(wait=False, kill_workers=True)
            _pool.cache_clear()


@lru_cache(maxsize=1)
def _pool() -> ProcessPoolExecutor:
    """Start the worker once: a second training finds it with its programs compiled."""
    return worker_pool(1, idle_s=IDLE_S)


def _build(packed: bytes, config: RunConfig, index: int, folder: Path, quiet: bool) -> TeacherRun:
    return build_dataset(_unpacked(packed), config, index, folder, quiet=quiet)


@lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> Scenario:
    """Unpack a scenario once: what is compiled is kept with it. Bytes come from the parent."""
    return cloudpickle.loads(packed)
