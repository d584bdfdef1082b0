"""Laws of a comparison, on a robot on a plane that is small enough to run in seconds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.evaluation.comparison import compare
from kalmanrnn.evaluation.estimates import Estimates, run_baselines, run_filter
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Gps
from kalmanrnn.scenarios.simulation import simulate_batch

SPACE = StateSpace((Block("velocity", size=2, unit="m/s"), Block("position", size=2, unit="m")))
ACCEL_STD = 0.5
TICK_S = 0.1


def process(x, u, dt):
    """Constant acceleration over a tick."""
    return jnp.concatenate([x[:2] + u * dt, x[2:] + x[:2] * dt + 0.5 * u * dt**2])


def process_noise(x, u, dt):
    """Variance of the accelerometer's noise, on the velocity alone."""
    return jnp.array([(ACCEL_STD * dt) ** 2] * 2 + [1e-12] * 2)


def world(key, ticks):
    """Drive on a random walk of accelerations, read with noise."""
    drive_key, noise_key = jax.random.split(key)
    u = jax.random.normal(drive_key, (ticks, 2))
    _, xs = jax.lax.scan(lambda x, u: (process(x, u, TICK_S), x), jnp.zeros(4), u)
    last = process(xs[-1], u[-1], TICK_S)
    return jnp.vstack([xs, last]), u + ACCEL_STD * jax.random.normal(noise_key, (ticks, 2))


SCENARIO = Scenario(
    name="plane",
    summary="a robot on a plane",
    space=SPACE,
    inputs=(Channel("accel_x", "m/s^2"), Channel("accel_y", "m/s^2")),
    sensors=(Gps(2.0, (1.0, 1.0), measure=lambda x: x[2:], dropout=0.3),),
    tick_hz=1 / TICK_S,
    process=process,
    process_noise=process_noise,
    simulate_truth=world,
    initial_std=(0.5, 0.5, 1.0, 1.0),
    origin="position",
)


@pytest.fixture(scope="module")
def drives():
    made = simulate_batch(SCENARIO, jax.random.key(0), 24, 40.0)
    return jax.tree.map(np.asarray, made)


@pytest.fixture(scope="module")
def estimates(drives):
    found = run_baselines(SCENARIO, drives)
    rng = np.random.default_rng(0)
    mean = found["ukf"].mean + 0.2 * rng.normal(size=found["ukf"].mean.shape)
    return found | {"student": Estimates(mean)}


@pytest.fixture(scope="module")
def comparison(drives, estimates):
    return compare(SCENARIO, drives, estimates, skip_s=5.0)


def test_estimates_have_shapes_and_times(drives, estimates):
    assert list(estimates) == ["gps", "dead_reckoning", "ekf", "ukf", "student"]
    for estimate in estimates.values():
        assert estimate.mean.shape == (24, 80, 4)
        assert estimate.mean.dtype == np.float64
    assert estimates["ukf"].cov.shape == (24, 80, 4, 4)
    assert estimates["ekf"].us_per_tick > 0


def test_held_reading_is_the_last_one_seen(drives, estimates):
    held = estimates["gps"].mean
    assert np.isnan(held[..., :2]).all()
    for b in range(3):
        last = np.asarray(drives.belief.mean)[b, 2:]
        for e in range(80):
            if drives.packets.seen[b, e, 0]:
                last = drives.packets.z[b, e]
            np.testing.assert_array_equal(held[b, e, 2:], last)


def test_batches_do_not_change_the_answer(drives, estimates):
    parts = run_filter(SCENARIO, drives, "ekf", batch=10)  # 24 drives: the last batch is filled up
    # Same program, other batch size: only the order of sums may differ.
    np.testing.assert_allclose(parts.mean, estimates["ekf"].mean, rtol=0, atol=1e-9)
    np.testing.assert_allclose(parts.cov, estimates["ekf"].cov, rtol=0, atol=1e-9)


def test_dead_reckoning_never_looks_at_a_measurement(drives, estimates):
    blind = drives._replace(packets=drives.packets._replace(z=drives.packets.z + 100.0))
    again = run_filter(SCENARIO, blind, "dead_reckoning")
    np.testing.assert_array_equal(again.mean, estimates["dead_reckoning"].mean)


def test_unknown_filter_is_named(drives):
    with pytest.raises(ValueError, match="dead_reckoning"):
        run_filter(SCENARIO, drives, "magic")


def test_filters_beat_the_gps_and_dead_reckoning(comparison):
    rmse = {name: o.errors["position"].rmse for name, o in comparison.metrics.items()}
    assert rmse["ukf"] < 0.9 * rmse["gps"]
    assert rmse["ukf"] < 0.5 * rmse["dead_reckoning"]
    assert "velocity" not in comparison.metrics["gps"].errors


def test_ekf_and_ukf_are_consistent_on_a_linear_robot(comparison):
    low, high = comparison.nees_band
    for name in ("ekf", "ukf"):
        assert low < comparison.metrics[name].nees_mean < high
        # 1100 seen readings of two numbers: 1 within 0.03 at one sigma.
        assert comparison.metrics[name].nis_mean == pytest.approx(1.0, abs=0.1)
    assert comparison.metrics["student"].nees is None


def test_ratios_are_those_of_the_added_error(comparison):
    accuracy = comparison.accuracy_ratio["position"]
    imitation = comparison.imitation_ratio["position"]
    assert comparison.agreement["position"] == pytest.approx(0.2 * np.sqrt(2), rel=0.05)
    teacher = comparison.metrics["ukf"].errors["position"].rmse
    assert imitation.value == pytest.approx(comparison.agreement["position"] / teacher)
    # Independent error: squares add, to the sampling error of their product.
    assert accuracy.value**2 == pytest.approx(1 + imitation.value**2, abs=0.05)
    assert accuracy.low < accuracy.value < accuracy.high


def test_a_lost_student_is_counted_and_never_left_out(drives, estimates):
    mean = estimates["student"].mean.copy()
    mean[3, 60:] = np.nan
    mean[5] += 1e4
    got = compare(SCENARIO, drives, estimates | {"student": Estimates(mean)}, skip_s=5.0)
    assert np.flatnonzero(got.metrics["student"].diverged).tolist() == [3, 5]
    assert got.accuracy_ratio["position"].value == np.inf
    assert not got.metrics["ukf"].diverged.any()


def test_drives_without_truth_get_agreement_and_nis(drives, estimates):
    got = compare(SCENARIO, drives._replace(truth=None), estimates, skip_s=5.0)
    assert not got.has_truth
    assert got.accuracy_ratio == {}
    assert got.agreement["position"] > 0
    assert got.metrics["ukf"].nis_mean == pytest.approx(1.0, abs=0.1)
    assert got.metrics["ukf"].errors == {}


def test_a_reference_that_knows_only_positions(drives, estimates):
    truth = drives.truth.copy()
    truth[..., :2] = np.nan
    got = compare(SCENARIO, drives._replace(truth=truth), estimates, skip_s=5.0)
    assert list(got.accuracy_ratio) == ["position"]
    assert got.metrics["ukf"].nees_mean == pytest.approx(1.0, abs=0.3)


def test_one_log_gets_its_interval_from_segments(drives, estimates):
    one = jax.tree.map(lambda a: a[:1], drives)
    mine = {
        name: Estimates(*(a[:1] if isinstance(a, np.ndarray) else a for a in t))
        for name, t in estimates.items()
    }
    got = compare(SCENARIO, one, mine, skip_s=5.0)
    assert "segments" in got.resampled
    assert got.accuracy_ratio["position"].low < got.accuracy_ratio["position"].high
    assert [p.rank for p in got.examples] == ["only"]


def test_picked_drives_are_the_students_best_and_worst(comparison):
    per_drive = comparison.metrics["student"].per_drive["position"]
    picked = {p.rank: p.drive for p in comparison.examples}
    assert picked["best"] == per_drive.argmin()
    assert picked["worst"] == per_drive.argmax()


def test_wrong_shapes_and_names_are_refused(drives, estimates):
    with pytest.raises(ValueError, match="no estimates of 'student'"):
        compare(SCENARIO, drives, {"ukf": estimates["ukf"]})
    with pytest.raises(ValueError, match="mean must be"):
        compare(SCENARIO, drives, estimates | {"student": Estimates(np.zeros((24, 79, 4)))})
    with pytest.raises(ValueError, match="skip_s"):
        compare(SCENARIO, drives, estimates, skip_s=100.0)
