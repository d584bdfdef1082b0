"""Drives are consistent with themselves and as noisy as their sensors say."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.scenarios.catalogue import find_sim
from kalmanrnn.scenarios.loading import run_file
from kalmanrnn.scenarios.simulation import simulate_batch


@pytest.mark.usefixtures("float64")
def test_ideal_imu_integrates_to_the_truth():
    """The truth is not made with f: f on ideal readings follows it to centimetres, no closer."""
    sim = run_file(find_sim("imu_gps"))
    states, ideal = jax.jit(lambda key: sim.motion(key, 2000, 0.01))(jax.random.key(0))
    start = jnp.concatenate([states[0], jnp.zeros(6)])

    @jax.jit
    def integrated(start, ideal):
        return jax.lax.scan(lambda x, u: (sim.process(x, u, 0.01),) * 2, start, ideal)[1]

    apart = np.asarray(integrated(start, ideal))[:, 7:10] - states[1:, 7:10]
    # f holds the middle reading over a tick: an error of dt^2 / 24 times the jerk's rate.
    assert 1e-6 < np.abs(apart).max() < 0.05


@pytest.mark.parametrize("name", ["linear", "rover", "lorenz", "imu_gps"])
def test_measurements_are_as_noisy_as_stated(name, scenario, drives):
    s, d = scenario(name), drives(name, count=64, seconds=20.0)
    with jax.enable_x64(True):
        ideal = jax.jit(jax.vmap(jax.vmap(s.measure)))(d.truth)
        error = np.asarray(s.innovation(d.packets.z, ideal))
    seen = s.mask(d.packets.seen)
    for column, sigma in enumerate(s.sigma):
        noise = error[..., column][seen[..., column]]
        # 6,400 readings or more: three standard errors of their deviation are 2.7 %.
        assert noise.std() == pytest.approx(sigma, rel=0.027)
        assert abs(noise.mean()) < 4 * sigma / noise.size**0.5
    assert not d.packets.z[~seen].any()


def test_inputs_are_as_noisy_as_stated(drives):
    d = drives("rover", count=64, seconds=20.0)
    gyro = np.sum(d.packets.u[:, :-1, :, 2] * d.packets.dt[:, :-1], axis=-1)
    turned = np.diff(np.unwrap(d.truth[..., 2], axis=1), axis=1)
    # Five readings of 0.02 rad/s, each held for 0.02 s.
    assert (gyro - turned).std() == pytest.approx(0.02 * 0.02 * 5**0.5, rel=0.03)


def test_each_sensor_reports_at_its_rate(drives):
    seen = drives("rover", count=64, seconds=20.0).packets.seen
    assert seen[..., 0].all()
    assert (seen[..., 1] == (np.arange(200) % 2 == 0)).all()


def test_dropouts_and_outages(scenario, drives):
    seen = drives("linear", "dropout=0.3", count=64, seconds=20.0).packets.seen
    assert 1 - seen.mean() == pytest.approx(0.3, abs=0.02)
    linear = scenario("linear")
    gps = replace(linear.sensors[0], outage_s=4.0, outage_chance=1.0)
    gone = simulate_batch(replace(linear, sensors=(gps,)), jax.random.key(0), 64, 20.0).packets.seen
    assert (200 - gone[..., 0].sum(axis=1) == 40).all()


def test_same_key_same_drive(scenario):
    one, same, other = (
        simulate_batch(scenario("linear"), jax.random.key(k), 2, 5.0) for k in (0, 0, 1)
    )
    for a, b, c in zip(*map(jax.tree.leaves, (one, same, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape == c.shape
    assert np.abs(one.truth - other.truth).min() > 0
    assert np.abs(one.truth[0] - one.truth[1]).min() > 0


def test_layout(drives):
    d = drives("rover", count=64, seconds=20.0)
    assert d.seconds == pytest.approx(19.9)
    assert d.truth.shape == (64, 200, 3)
    assert d.packets.u.shape == (64, 200, 5, 4)
    assert d.truth.dtype == np.float64
    assert drives("linear", count=64, seconds=20.0).packets.u.shape == (64, 200, 1, 0)


def test_too_short_a_drive_is_refused(scenario):
    with pytest.raises(ValueError, match=r"at least two events \(0.2 s\), got 0.1"):
        simulate_batch(scenario("linear"), jax.random.key(0), 1, 0.1)
