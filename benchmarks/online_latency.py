"""Cost of a message in a robot's Python loop: `OnlineEstimator`, IMU at 100 Hz, GPS at 5 Hz.

Each call is made from Python; its result is on the host when it returns.
"""

from __future__ import annotations

import time
from typing import Any

import common
import jax
import numpy as np

from kalmanrnn.core.config import DataConfig, StudentConfig
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.teacher_runs import run_teacher
from kalmanrnn.deploy.online.estimator import OnlineEstimator
from kalmanrnn.models.student import make_student
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.scenarios.simulation import simulate_batch

QUESTION = "Microseconds a fix costs in kalmanrnn.OnlineEstimator at 64 units, from Python"
SIZES = {"1 x 64": (64, 1), "2 x 64": (64, 2), "1 x 128": (128, 1)}


def make_estimator(teacher_run: Any, scenario: Any, hidden: int, layers: int) -> OnlineEstimator:
    """Make an untrained student of a size, its scales fitted."""
    student, params = make_student(scenario, StudentConfig(hidden=hidden, layers=layers), seed=0)
    norm = fit_normaliser(student, teacher_run.drives, teacher_run.run, 0)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 1e-3 * rng.standard_normal(a.shape, np.float32), params)
    return OnlineEstimator(student, params, norm)


def lap(estimator: OnlineEstimator, drive: Any) -> tuple[list[float], list[float]]:
    """Feed a drive's messages; return seconds for each IMU reading and each fix."""
    imu, gps = [], []
    estimator.start(drive.belief.mean)
    u = drive.packets.u.reshape(-1, 6)
    for i, reading in enumerate(u):
        t = 0.01 * i
        began = time.perf_counter()
        estimator.on_imu(t, reading[:3], reading[3:])
        imu.append(time.perf_counter() - began)
        if i % 20 == 0:
            began = time.perf_counter()
            estimator.on_gps(t, drive.packets.z[i // 20])
            gps.append(time.perf_counter() - began)
    return imu, gps


def main() -> None:
    flags = common.arguments(QUESTION)
    scenario = load_scenario("imu_gps")
    seconds = 4.0 if flags.quick else 30.0
    drives = jax.tree.map(np.asarray, simulate_batch(scenario, jax.random.key(0), 16, seconds))
    teacher_run = run_teacher(scenario, DataConfig(check_segments=0), drives, every="event", seed=0)
    drive = jax.tree.map(lambda a: a[0], drives)
    results = {}
    for name, size in SIZES.items():
        estimator = make_estimator(teacher_run, scenario, *size)
        lap(estimator, drive)
        rows = [lap(estimator, drive) for _ in range(flags.repeats)]
        imu, gps = (common.spread([1e6 * np.median(row[i][5:]) for row in rows]) for i in (0, 1))
        results[name] = {"us_per_fix": gps._asdict(), "us_per_imu_reading": imu._asdict()}
        print(f"{name}: {gps} us a fix, {imu} us an IMU reading (medians of a lap)")
    common.finish(flags, QUESTION, results["1 x 64"]["us_per_fix"]["median"], results)


if __name__ == "__main__":
    main()
