"""Label drives with a user's own filter, in worker processes and with a cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.worker_process import worker_pool
from kalmanrnn.filters.external.cache import cache_key, read_cache, write_cache
from kalmanrnn.filters.external.loading import FilterSpec, make_filter, split_spec
from kalmanrnn.filters.external.worker import FilterOutput, run_external, run_spec, use_float64
from kalmanrnn.scenarios.scenario import Scenario

# Between two runs over one drive: another thread count may round differently.
TOLERANCE = 1e-6


class Labels(NamedTuple):
    """An external teacher's estimates over a batch of drives, float64.

    mean: `[B, E, X]`, NaN for failed drives. cov: `[B, E, D, D]`, or None.
    kept: `[B]`, False where the teacher failed. failures: the number of those.
    first_message: why the first of them failed.
    """

    mean: np.ndarray
    cov: np.ndarray | None
    kept: np.ndarray
    failures: int
    first_message: str


def label(
    scenario: Scenario,
    spec: str,
    drives: Drive,
    *,
    sim: str | Path = "",
    settings: Sequence[str] = (),
    workers: int | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Labels:
    """Run `my_filter.py:make_filter` over a batch of drives; executes that file.

    sim, settings: how workers load the scenario; without a sim, or with `workers=0`, everything
    runs in this process. cache: a folder for each drive's estimates, by a hash of the teacher's
    file, the scenario file and the drive, but not of what these files import. A drive on which
    the teacher fails is dropped; UserError if it fails on all.
    """
    path, function = split_spec(spec)
    filter_spec = FilterSpec(str(path), function, str(sim), tuple(settings))
    batch = _split(drives)
    keys = [cache_key(scenario, filter_spec, drive) for drive in batch]
    output: list[FilterOutput | None] = [
        read_cache(cache, key, scenario, drive) for key, drive in zip(keys, batch, strict=True)
    ]
    left = [i for i, s in enumerate(output) if s is None]
    progress(len(batch) - len(left), len(batch))
    # The first drive once more, after the others: a teacher must not remember.
    again = [left[0]] if left else []
    count = os.cpu_count() or 1 if workers is None else workers
    if not sim:
        count = 0
    if count == 0:
        run = _run_inline(scenario, filter_spec)
    else:
        run = _run_in_pool(scenario, filter_spec, count)
    done = len(batch) - len(left)
    for index, one in run([batch[i] for i in left + again]):
        if index == len(left):
            _check_stateless(output[left[0]], one, path)
            continue
        output[left[index]] = one
        if cache is not None and not one.failure:
            write_cache(cache, keys[left[index]], one)
        done += 1
        progress(done, len(batch))
    return _stack([s for s in output if s is not None], scenario, drives, path)


Run = Callable[[list[Drive]], Iterator[tuple[int, FilterOutput]]]


def _run_inline(scenario: Scenario, spec: FilterSpec) -> Run:
    """Return a function that runs drives in this process."""

    def run(drives: list[Drive]) -> Iterator[tuple[int, FilterOutput]]:
        if not drives:
            return
        with jax.enable_x64(True):
            teacher = make_filter(spec, scenario)
        for index, drive in enumerate(drives):
            with jax.enable_x64(True):
                one = run_external(teacher, drive, scenario.space)
            yield index, one

    return run


def _run_in_pool(scenario: Scenario, spec: FilterSpec, workers: int) -> Run:
    """Return a function that runs drives in that many processes, the last one after all others."""

    def run(drives: list[Drive]) -> Iterator[tuple[int, FilterOutput]]:
        if not drives:
            return
        size = min(workers, len(drives))
        pool = worker_pool(size, use_float64)
        space = scenario.space
        try:
            first: dict[Any, int] = {
                pool.submit(run_spec, spec, drive, space): index
                for index, drive in enumerate(drives[:-1])
            }
            for future in as_completed(first):
                yield first[future], future.result()
            yield len(drives) - 1, pool.submit(run_spec, spec, drives[-1], space).result()
        except BrokenProcessPool as error:
            raise UserError(
                f"a worker process of the teacher {Path(spec.path).name} died",
                why="it was killed, or a library crashed; there is no traceback",
                cure="--teacher-workers 1, or a machine with more memory",
            ) from error
        finally:
            pool.shutdown(wait=False, kill_workers=True)

    return run


def _stack(output: list[FilterOutput], scenario: Scenario, drives: Drive, path: Path) -> Labels:
    """Stack the outputs of all drives; UserError if every drive failed."""
    kept = np.array([not s.failure for s in output])
    message = next((s.failure for s in output if s.failure), "")
    if not kept.any():
        raise UserError(
            f"the teacher {path.name} failed on all {len(output)} drives",
            why=message,
            cure=f"fix {path}; kalmanrnn sims check finds errors in the scenario itself",
        )
    events, d = np.shape(drives.t)[1], scenario.space.tangent_dim
    mean = np.full((len(output), events, scenario.space.state_dim), np.nan)
    cov = np.full((len(output), events, d, d), np.nan)
    has_cov = all(s.cov is not None for s in output if not s.failure)
    for i, one in enumerate(output):
        if not one.failure:
            mean[i] = one.mean
            if has_cov:
                cov[i] = one.cov
    return Labels(mean, cov if has_cov else None, kept, int(np.sum(~kept)), message)


def replace_lost(labels: Labels, drives: Drive) -> tuple[Labels, Drive]:
    """Replace failed drives by copies of others, so that a set keeps its size."""
    rows = np.arange(len(labels.kept))
    good = rows[labels.kept]
    rows[~labels.kept] = np.resize(good, np.sum(~labels.kept))
    cov = None if labels.cov is None else labels.cov[rows]
    filled = labels._replace(mean=labels.mean[rows], cov=cov, kept=np.ones(len(rows), bool))
    return filled, jax.tree.map(lambda a: np.asarray(a)[rows], drives)


def _split(drives: Drive) -> list[Drive]:
    """Split a batch into float64 drives without the truth, which a teacher must not see."""
    unlabelled = jax.tree.map(np.asarray, drives._replace(truth=None))

    def to_float64(a: np.ndarray) -> np.ndarray:
        return a.astype(float) if np.issubdtype(a.dtype, np.floating) else a

    return [
        jax.tree.map(lambda a, i=i: to_float64(a[i]), unlabelled) for i in range(len(unlabelled.t))
    ]


def _check_stateless(first: FilterOutput | None, again: FilterOutput, path: Path) -> None:
    """Refuse a teacher whose init does not reset everything."""
    if first is None or first.mean is None:
        return
    if again.mean is not None and np.allclose(
        first.mean, again.mean, rtol=TOLERANCE, atol=TOLERANCE
    ):
        return
    why = again.failure or f"by up to {np.abs(first.mean - again.mean).max():.2g}"
    raise UserError(
        f"the teacher {path.name} remembers the previous drive",
        why=f"two runs over one drive differ: {why}",
        cure="reset in init(belief) everything that step changes",
    )
