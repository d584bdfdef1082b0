"""What one step costs when it is called from Python, event by event, for students and filters.

One event of imu_gps is one GPS fix and the 20 ticks up to the next. Each call is blocked on, and
its arrays are already on the device: what a robot's loop in Python would wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import common
import jax
import jax.numpy as jnp
import numpy as np
import numpy_imu_gps as twin

from kalmanrnn.core.config import DataConfig, StudentConfig
from kalmanrnn.core.datatypes import Drive, Estimator
from kalmanrnn.data.local_frame import localise
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.teacher_runs import TeacherRun, run_teacher
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.models.student import estimator, make_student
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.simulation import simulate_batch

QUESTION = "Cost of one event of imu_gps called from Python, the default student : the JAX UKF"
SIZES = {"1 x 64": (64, 1), "2 x 64": (64, 2), "1 x 128": (128, 1)}
DEFAULT = "{0.layers} x {0.hidden}".format(StudentConfig())


def one_drive(drives: Drive, events: int) -> Drive:
    """Take the first drive of a batch, and of it the first events."""
    first = jax.tree.map(lambda a: np.asarray(a[0]), drives)
    return first._replace(
        t=first.t[:events],
        packets=jax.tree.map(lambda a: a[:events], first.packets),
        truth=first.truth[:events],
    )


def student_of(scenario: Scenario, taught: TeacherRun, hidden: int, layers: int) -> Estimator:
    """Make a `gain` student of that size, its scales fitted; it has learnt nothing."""
    student, params = make_student(scenario, StudentConfig(hidden=hidden, layers=layers), seed=0)
    norm = fit_normaliser(student, taught.drives, taught.run, 0)
    # Weights that are all zero, as the last layer's are at first, could be compiled away.
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 1e-3 * rng.standard_normal(a.shape, np.float32), params)
    return estimator(student, params, norm)


def stepwise(of: Estimator, drive: Drive, *, float64: bool) -> Callable[[], list[Any]]:
    """Return a lap: one jitted call per event, each blocked on; it returns the estimates."""
    with jax.enable_x64(float64):
        step = jax.jit(of.step)
        first = jax.device_put(jax.jit(of.init)(drive.belief))
        packets = [
            jax.device_put(jax.tree.map(lambda a, i=i: a[i], drive.packets))
            for i in range(len(drive.t))
        ]

    def lap():
        carry, estimates = first, []
        with jax.enable_x64(float64):
            for packet in packets:
                carry, estimate = jax.block_until_ready(step(carry, packet))
                estimates.append(estimate)
        return estimates

    return lap


def filterpy_lap(scenario: Scenario, run: Callable[..., Any], drive: Drive) -> Callable[[], Any]:
    """Return a lap of filterpy's filter with numpy models over the same events."""
    with jax.enable_x64(True):
        x, u = jnp.asarray(drive.belief.mean), jnp.asarray(drive.packets.u[0, 0])
        variances = np.asarray(scenario.process_noise(x, u, jnp.asarray(1.0)))
    mean, cov = drive.belief
    return partial(run, mean, cov, drive.packets, scenario.sigma, variances)


def check(laps: dict[str, Callable[[], Any]]) -> None:
    """Hold our filters equal to filterpy's, and students finite, before anything is timed."""
    means = {
        name: np.stack([estimate.mean for estimate in lap()])
        for name, lap in laps.items()
        if "filterpy" not in name
    }
    # The UKFs are one algorithm. numpy's EKF takes F to first order in dt, ours is exact.
    for kind, apart in (("UKF", 1e-6), ("EKF", 1e-2)):
        theirs, _ = laps[f"{kind}, filterpy"]()
        np.testing.assert_allclose(means[f"{kind}, JAX"][: len(theirs)], theirs, 0, apart)
    assert all(np.isfinite(mean).all() for mean in means.values()), "an estimator diverged"


def main() -> None:
    flags = common.arguments(QUESTION)
    events, slow_events = (10, 2) if flags.quick else (100, 10)
    scenario = load_scenario("imu_gps")
    drives = jax.block_until_ready(simulate_batch(scenario, jax.random.key(0), 4, 20.0))
    data = DataConfig(check_segments=0)
    taught = run_teacher(scenario, data, drives, every="event", seed=0)
    drive, short = one_drive(drives, events), one_drive(drives, slow_events)
    single = one_drive(localise(scenario, drives), events)

    laps: dict[str, Callable[[], Any]] = {
        f"student, {size}": stepwise(student_of(scenario, taught, *shape), single, float64=False)
        for size, shape in SIZES.items()
    }
    for kind, run in (("EKF", twin.run_ekf), ("UKF", twin.run_ukf)):
        of = FILTERS[kind.lower()](scenario)
        laps[f"{kind}, JAX"] = stepwise(of, drive, float64=True)
        laps[f"{kind}, filterpy"] = filterpy_lap(scenario, run, short)
    check(laps)

    took = common.rounds(laps, repeats=flags.repeats)
    ticks = scenario.ticks_per_event
    us = {
        name: 1e6 * seconds / (slow_events if "filterpy" in name else events)
        for name, seconds in took.items()
    }
    told = {}
    for name, each in us.items():
        event, tick = common.spread(each), common.spread(each / ticks)
        told[name] = {"us_per_event": event._asdict(), "us_per_tick": tick._asdict()}
        print(f"{name}: {event} us an event, {tick.median:,.1f} us a tick")
    laps_of = f"n laps of {events} events, of {slow_events} for filterpy"
    print(f"students float32, filters float64; {ticks} ticks an event; {laps_of}\n")
    ratios = {}
    for size in SIZES:
        for other in ("UKF, JAX", "EKF, JAX", "UKF, filterpy", "EKF, filterpy"):
            name = f"student, {size}"
            ratio = common.spread(us[name] / us[other])
            ratios[f"{name} : {other}"] = ratio._asdict()
            print(f"{name} : {other} {ratio.median:.2g} (1 : {1 / ratio.median:,.1f})")
    taken_from = {"cost": told, "ratios": ratios, "ticks_per_event": ticks}
    taken_from |= {"events": events, "filterpy_events": slow_events}
    common.finish(flags, QUESTION, ratios[f"student, {DEFAULT} : UKF, JAX"]["median"], taken_from)


if __name__ == "__main__":
    main()
