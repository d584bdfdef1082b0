"""What every benchmark prints: machine, versions, median and spread; `--json` as its last line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "scipy", "filterpy", "torch")


class Spread(NamedTuple):
    """The median of n figures with the least and the greatest of them."""

    median: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        figures = (f"{value:,.{digits}f}" for value in (self.median, self.low, self.high))
        return "{1} (n = {0}: {2} to {3})".format(self.n, *figures)


def spread(values: Iterable[float]) -> Spread:
    """Sum up repeated figures."""
    values = [float(value) for value in values]
    return Spread(statistics.median(values), min(values), max(values), len(values))


def rates(run: Callable[[], Any], *, count: int, repeats: int) -> Spread:
    """Return things per second: `run` does `count` of them and blocks until they are done.

    Its first call is the warm-up and is not counted.
    """
    run()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return spread([count / s for s in seconds])


def rounds(works: Mapping[str, Callable[[], Any]], *, repeats: int) -> dict[str, np.ndarray]:
    """Return the seconds that each work took in each round, `[repeats]`; each blocks until done.

    They take turns, so that a busy moment of the machine strikes all of them, and a ratio is
    taken round by round. First calls are warm-ups and not counted.
    """
    for run in works.values():
        run()
    seconds = {name: np.zeros(repeats) for name in works}
    for i in range(repeats):
        for name, run in works.items():
            begin = time.perf_counter()
            run()
            seconds[name][i] = time.perf_counter() - begin
    return seconds


def machine() -> str:
    """Name the processor, its cores, how busy it is, and the system."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return f"{model}, {cores} cores, {load}, {platform.system()} {platform.release()}"


def versions() -> str:
    """Name Python and those of the packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def peak_gib() -> float:
    """Return the most memory this process has held [GiB]."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def arguments(question: str) -> argparse.Namespace:
    """Read the flags that all benchmarks share, and print what is asked and where."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--quick", action="store_true", help="less work, rougher figures")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--repeats", type=int, default=5, help="runs that are counted")
    flags = parser.parse_args()
    flags.machine, flags.versions = machine(), versions()
    print(f"{question}\n{flags.machine}\n{flags.versions}\n", flush=True)
    return flags


def finish(flags: argparse.Namespace, question: str, ratio: float | None, taken_from: Any) -> None:
    """Print the JSON object if it was asked for; the ratio is None where it could not be taken."""
    if flags.json:
        told = {"question": question, "ratio": ratio, "from": taken_from}
        told |= {"machine": flags.machine, "versions": flags.versions}
        print(json.dumps(told))
