"""What an event of imu_gps costs on a Cortex-M4: instructions, flash, RAM; emulated, not timed."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import common
import jax
import numpy as np
from cortex_m import board
from export_latency import SIZES, student_of, teacher_run_of

from kalmanrnn.deploy.c.selftest import record_selftest
from kalmanrnn.deploy.c.sizes import with_target
from kalmanrnn.deploy.machine.machine import trace_estimator
from kalmanrnn.deploy.options import CORTEX_M, TARGETS
from kalmanrnn.deploy.verification.test_vectors import simulate_drives
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.scenarios.scenario import load_scenario

QUESTION = "Instructions of an event of imu_gps on a Cortex-M4, the UKF : the student of 64 units"
NAMES = ("32", "64", "64 int8", "EKF", "UKF")


def main() -> None:
    flags = common.arguments(QUESTION)
    if board.lacking():
        raise SystemExit(f"skipped: {board.lacking()}")
    scenario = load_scenario("imu_gps")
    drives = simulate_drives(scenario, scenario.ticks_per_event, 0)
    first = jax.tree.map(lambda a: np.asarray(a[0]), drives._replace(truth=None))
    teacher_run, results = teacher_run_of(scenario), {}
    print(f"{board.versions()}, {' '.join(board.OPTIONS)}")
    for name, target in itertools.product(NAMES, TARGETS):
        size, _, weights = name.partition(" ")
        if size in SIZES:
            machine, of = student_of(
                scenario, teacher_run, *SIZES[size], weights=weights or "float32"
            )
        else:
            machine, of = trace_estimator(name.lower(), scenario), FILTERS[name.lower()](scenario)
        with tempfile.TemporaryDirectory() as folder:
            found = board.measure(
                with_target(machine, target), record_selftest(of, first), Path(folder)
            )
        results[f"{name}, {target}"] = found._asdict()
        print(
            f"{name}, {target}: {found.instructions:,} instructions an event, "
            f"{found.most:,} at most; "
            f"flash {found.flash:,}, RAM {found.ram:,} of which stack {found.stack:,}; "
            f"self-test {'passed' if not found.selftest else f'FAILED {found.selftest}'}"
        )
    ratios = {
        f"{other} : {size}": results[f"{other}, {CORTEX_M}"]["instructions"]
        / results[f"{size}, {CORTEX_M}"]["instructions"]
        for size in ("32", "64", "64 int8")
        for other in ("EKF", "UKF")
    }
    print(", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    common.finish(flags, QUESTION, ratios["UKF : 64"], {"board": results, "ratios": ratios})


if __name__ == "__main__":
    main()
