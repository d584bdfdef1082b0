"""Sensors are as noisy as they say, and refuse to be impossible."""

import jax
import numpy as np
import pytest

from kalmanrnn.scenarios.sensors import Channel, Compass, Gps, Imu, Sensor

pytestmark = pytest.mark.usefixtures("float64")


def test_imu_noise_has_its_density():
    imu = Imu(rate_hz=200.0)
    noise = np.asarray(imu.noise(jax.random.key(0), 40_000))
    expected = np.repeat([imu.gyroscope_noise_density, imu.accelerometer_noise_density], 3)
    # One standard deviation of an estimate from n samples is 1 / sqrt(2 n) = 0.35 %.
    np.testing.assert_allclose(noise.std(axis=0), expected * 200**0.5, rtol=0.015)
    assert abs(np.corrcoef(noise.T) - np.eye(6)).max() < 0.025


def test_imu_biases_start_and_walk_as_stated():
    imu = Imu(rate_hz=100.0)
    keys = jax.random.split(jax.random.key(1), 2000)
    gyro, accel = jax.jit(jax.vmap(lambda k: imu.biases(k, 201)))(keys)
    for bias, turn_on, walk in (
        (gyro, imu.gyroscope_turn_on_bias, imu.gyroscope_random_walk),
        (accel, imu.accelerometer_turn_on_bias, imu.accelerometer_random_walk),
    ):
        assert np.std(bias[:, 0]) == pytest.approx(turn_on, rel=0.04)
        # After 2 s a random walk has spread by its density times sqrt(2 s).
        assert np.std(bias[:, 200] - bias[:, 0]) == pytest.approx(walk * 2**0.5, rel=0.04)


def test_channels_name_their_units():
    assert [c.unit for c in Imu().channels()] == ["rad/s"] * 3 + ["m/s^2"] * 3
    assert Gps(measure=lambda x: x).size == 3
    assert Compass(1.0, 0.1, measure=lambda x: x).angular


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_hz": 0.0}, "rate_hz must be positive, got 0.0"),
        ({"rate_hz": float("nan")}, "rate_hz must be positive, got nan"),
        ({"sigma": (1.0, -1.0)}, "every sigma must be positive"),
        ({"sigma": (1.0,)}, "2 channels but 1 values in sigma"),
        ({"dropout": 1.0}, "dropout must be a probability, got 1.0"),
        ({"outlier": -0.1}, "outlier must be a probability, got -0.1"),
    ],
)
def test_impossible_sensors_are_refused(change, message):
    channels = (Channel("a", "m"), Channel("b", "m"))
    good = {"rate_hz": 5.0, "sigma": (1.0, 1.0)}
    with pytest.raises(ValueError, match=message):
        Sensor("radar", channels, measure=lambda x: x, **{**good, **change})


def test_impossible_imu_is_refused():
    with pytest.raises(ValueError, match=r"Imu.rate_hz must be positive, got -1"):
        Imu(rate_hz=-1)
