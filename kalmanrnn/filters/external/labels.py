"""Label drives with a user's own filter: in worker processes, each drive kept once computed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import UserError
from kalmanrnn.filters.external.cache import cache_key, read_cache, write_cache
from kalmanrnn.filters.external.loading import FilterSpec, make_filter, split_spec
from kalmanrnn.filters.external.worker import FilterOutput, init_worker, run_external, run_spec
from kalmanrnn.scenarios.scenario import Scenario

# Two runs of one filter over one drive; another thread count may round otherwise.
SAME = 1e-6


class Labels(NamedTuple):
    """What an own teacher said over a batch of drives, float64.

    mean: `[B, E, X]`, NaN where a drive was lost. cov: `[B, E, D, D]`, or None.
    kept: `[B]` whether the teacher came through. failures: how many it did not.
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

    sim, settings: how workers load the scenario again; without a sim, or with `workers=0`, all
    runs here. cache: a folder where each drive's estimates are kept by what they depend on: the
    teacher's own file, the sim and the drive, but not what the file imports. A drive on which
    the teacher fails costs that drive; UserError where it fails on all.
    """
    path, function = split_spec(spec)
    order = FilterSpec(str(path), function, str(sim), tuple(settings))
    batch = _each(drives)
    keys = [cache_key(scenario, order, drive) for drive in batch]
    said: list[FilterOutput | None] = [
        read_cache(cache, key, scenario, drive) for key, drive in zip(keys, batch, strict=True)
    ]
    left = [i for i, s in enumerate(said) if s is None]
    progress(len(batch) - len(left), len(batch))
    # The first drive once more, behind others: a teacher must not remember.
    again = [left[0]] if left else []
    count = os.cpu_count() or 1 if workers is None else workers
    if not sim:
        count = 0
    run = _here(scenario, order) if count == 0 else _elsewhere(scenario, order, count)
    done = len(batch) - len(left)
    for index, one in run([batch[i] for i in left + again]):
        if index == len(left):
            _check_forgetful(said[left[0]], one, path)
            continue
        said[left[index]] = one
        if cache is not None and not one.failure:
            write_cache(cache, keys[left[index]], one)
        done += 1
        progress(done, len(batch))
    return _gathered([s for s in said if s is not None], scenario, drives, path)


Run = Callable[[list[Drive]], Iterator[tuple[int, FilterOutput]]]


def _here(scenario: Scenario, order: FilterSpec) -> Run:
    """Run in this process, in order."""

    def run(drives: list[Drive]) -> Iterator[tuple[int, FilterOutput]]:
        if not drives:
            return
        with jax.enable_x64(True):
            teacher = make_filter(order, scenario)
        for index, drive in enumerate(drives):
            with jax.enable_x64(True):
                one = run_external(teacher, drive, scenario.space)
            yield index, one

    return run


def _elsewhere(scenario: Scenario, order: FilterSpec, workers: int) -> Run:
    """Run in that many processes, as they come; the last drive when all others are done."""
    spawn = multiprocessing.get_context("spawn")

    def run(drives: list[Drive]) -> Iterator[tuple[int, FilterOutput]]:
        if not drives:
            return
        size = min(workers, len(drives))
        with ProcessPoolExecutor(size, mp_context=spawn, initializer=init_worker) as pool:
            space = scenario.space
            try:
                first = {
                    pool.submit(run_spec, order, drive, space): index
                    for index, drive in enumerate(drives[:-1])
                }
                for future in as_completed(first):
                    yield first[future], future.result()
                yield len(drives) - 1, pool.submit(run_spec, order, drives[-1], space).result()
            except BrokenProcessPool as error:
                raise UserError(
                    f"a process that ran the teacher {Path(order.path).name} died",
                    why="it was killed, or a library in it crashed; there is no traceback of that",
                    cure="--teacher-workers 1, or give the machine more memory",
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    return run


def _gathered(said: list[FilterOutput], scenario: Scenario, drives: Drive, path: Path) -> Labels:
    """Lay out what was said; UserError where nothing was."""
    kept = np.array([not s.failure for s in said])
    message = next((s.failure for s in said if s.failure), "")
    if not kept.any():
        raise UserError(
            f"the teacher {path.name} failed on all {len(said)} drives",
            why=message,
            cure=f"mend it: {path}; kalmanrnn sims check says whether the robot itself is sound",
        )
    events, d = np.shape(drives.t)[1], scenario.space.tangent_dim
    mean = np.full((len(said), events, scenario.space.state_dim), np.nan)
    cov = np.full((len(said), events, d, d), np.nan)
    whole = all(s.cov is not None for s in said if not s.failure)
    for i, one in enumerate(said):
        if not one.failure:
            mean[i] = one.mean
            if whole:
                cov[i] = one.cov
    return Labels(mean, cov if whole else None, kept, int(np.sum(~kept)), message)


def replace_lost(labels: Labels, drives: Drive) -> tuple[Labels, Drive]:
    """Put kept drives in the place of lost ones, so that a set keeps its size."""
    rows = np.arange(len(labels.kept))
    good = rows[labels.kept]
    rows[~labels.kept] = np.resize(good, np.sum(~labels.kept))
    cov = None if labels.cov is None else labels.cov[rows]
    again = labels._replace(mean=labels.mean[rows], cov=cov, kept=np.ones(len(rows), bool))
    return again, jax.tree.map(lambda a: np.asarray(a)[rows], drives)


def _each(drives: Drive) -> list[Drive]:
    """Cut a batch into drives of float64, without the truth: a teacher must not see it."""
    blind = jax.tree.map(np.asarray, drives._replace(truth=None))

    def exact(a: np.ndarray) -> np.ndarray:
        return a.astype(float) if np.issubdtype(a.dtype, np.floating) else a

    return [jax.tree.map(lambda a, i=i: exact(a[i]), blind) for i in range(len(blind.t))]


def _check_forgetful(first: FilterOutput | None, again: FilterOutput, path: Path) -> None:
    """Refuse a teacher whose init leaves something of the drive before."""
    if first is None or first.mean is None:
        return
    if again.mean is not None and np.allclose(first.mean, again.mean, rtol=SAME, atol=SAME):
        return
    why = again.failure or f"they differ by up to {np.abs(first.mean - again.mean).max():.2g}"
    raise UserError(
        f"the teacher {path.name} remembers the drive before",
        why=f"run over one drive twice it says two things: {why}",
        cure="let init(belief) set everything that step changes",
    )
