"""Ask how many times faster than filterpy the batched filters run imu_gps, in one process."""

from __future__ import annotations

from functools import partial

import common
import jax
import jax.numpy as jnp
import numpy as np
import numpy_imu_gps as twin

from kalmanrnn.core.datatypes import Belief, Drive
from kalmanrnn.filters.filterpy_reference import relative_difference
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.simulation import simulate_batch

QUESTION = "Ticks per second of the batched UKF on imu_gps, float64, against filterpy's in numpy"


def check_twin(scenario: Scenario, drive: Drive) -> None:
    """Hold numpy's f equal to the scenario's own before anything is timed."""
    assert drive.truth is not None
    x = np.array(drive.truth[0])
    for u in np.asarray(drive.packets.u).reshape(-1, 6)[:200]:
        with jax.enable_x64(True):
            ours = np.asarray(_process(scenario)(x, u, 0.01))
        np.testing.assert_allclose(twin.process(x, u, 0.01), ours, rtol=1e-12, atol=1e-12)
        with jax.enable_x64(True):
            reading = np.asarray(scenario.measure(jnp.asarray(x)))
        np.testing.assert_allclose(x[7:10], reading, rtol=1e-12)
        x = ours


@partial(jax.jit, static_argnums=0)
def _call(scenario, x, u, dt):
    return scenario.process(x, u, dt)


def _process(scenario: Scenario):
    return partial(_call, scenario)


def batched(scenario: Scenario, kind: str, drives: Drive, repeats: int):
    """Return ticks per second of a batched filter, and what it said about the first drive."""
    with jax.enable_x64(True):
        run = jax.jit(partial(rollout, FILTERS[kind](scenario))).lower(drives).compile()
        rate = common.rates(
            lambda: jax.block_until_ready(run(drives)),
            count=np.size(drives.packets.dt),
            repeats=repeats,
        )
        return rate, jax.tree.map(lambda a: np.asarray(a[0]), run(drives))


def alone(scenario: Scenario, run, drive: Drive, repeats: int):
    """Return ticks per second of a filterpy filter over one drive, and what it said."""
    packets = jax.tree.map(np.asarray, drive.packets)
    with jax.enable_x64(True):
        x, u, second = map(jnp.asarray, (drive.belief.mean, packets.u[0, 0], 1.0))
        variances = np.asarray(scenario.process_noise(x, u, second))
    mean, cov = (np.asarray(a) for a in drive.belief)
    work = partial(run, mean, cov, packets, scenario.sigma, variances)
    return common.rates(work, count=packets.dt.size, repeats=repeats), work()


def cut(drive: Drive, events: int) -> Drive:
    """Take the first drive of a batch, and of it the first events."""
    first = jax.tree.map(lambda a: np.asarray(a[0]), drive)
    return first._replace(
        t=first.t[:events],
        packets=jax.tree.map(lambda a: a[:events], first.packets),
        truth=None if first.truth is None else first.truth[:events],
    )


def main() -> None:
    flags = common.arguments(QUESTION)
    count, seconds, events = (64, 10.0, 10) if flags.quick else (256, 60.0, 50)
    scenario = load_scenario("imu_gps")
    drives = jax.block_until_ready(simulate_batch(scenario, jax.random.key(0), count, seconds))
    short = cut(drives, events)
    check_twin(scenario, short)

    rows = {}
    for kind, run in (("ukf", twin.run_ukf), ("ekf", twin.run_ekf)):
        slow, (means, covs) = alone(scenario, run, short, flags.repeats)
        fast, ours = batched(scenario, kind, drives, flags.repeats)
        rows[kind] = (fast, slow)
        ours = jax.tree.map(lambda a: a[:events], ours)
        apart = relative_difference(scenario, ours, Belief(means, covs))
        print(f"{kind.upper()}  batched, {count} drives of {seconds:g} s: {fast} ticks/s")
        print(f"     filterpy, one drive: {slow} ticks/s")
        print(f"     ratio {fast.median / slow.median:,.0f}; they differ by {apart:.1e} sigma\n")
    print(f"peak memory {common.peak_gib():.2f} GiB")

    ratio = rows["ukf"][0].median / rows["ukf"][1].median
    taken_from = {
        kind: {
            "batched_ticks_per_s": fast._asdict(),
            "filterpy_ticks_per_s": slow._asdict(),
            "ratio": fast.median / slow.median,
        }
        for kind, (fast, slow) in rows.items()
    }
    taken_from |= {"drives": count, "seconds": seconds, "peak_gib": common.peak_gib()}
    common.finish(flags, QUESTION, ratio, taken_from)


if __name__ == "__main__":
    main()
