"""Laws of the Allan deviation: known noise is found again, and what a log cannot show is not."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import yaml
from scipy.signal import lfilter

from kalmanrnn.cli.allan import allan
from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.calibration.allan import allan_deviation, fit_noise, fitted_deviation
from kalmanrnn.logs.calibration.stationary import select_stationary
from kalmanrnn.logs.recording.recording import Recording, Stream, save_recording
from kalmanrnn.scenarios.sensors import Imu

G = np.array([0.0, 0.0, 9.81])


def at_rest(density, walk, *, rate_hz=50.0, seconds=7200.0, seed=0):
    """Readings `[n, 3]` of a sensor with white noise and a random walk."""
    rng = np.random.default_rng(seed)
    n = round(rate_hz * seconds)
    white = density * np.sqrt(rate_hz) * rng.normal(size=(n, 3))
    return white + np.cumsum(walk / np.sqrt(rate_hz) * rng.normal(size=(n, 3)), axis=0)


def drive_file(path, gyro, accel, rate_hz):
    """A drive file with nothing but this IMU."""
    channels = tuple(f"{kind}_{a}" for kind in ("gyro", "accel") for a in "xyz")
    units = ("rad/s",) * 3 + ("m/s^2",) * 3
    t = np.arange(len(gyro)) / rate_hz
    values = np.concatenate([gyro, accel], axis=1)
    save_recording(path, Recording(0.0, (Stream("imu", t, values, channels, units),)))
    return path


def test_the_deviation_is_the_textbooks():
    """Equal to the definition written as a loop, on averages that overlap."""
    rng = np.random.default_rng(3)
    x, rate_hz = rng.normal((5.0, -100.0), 1.0, (400, 2)), 20.0
    curve = allan_deviation(x, rate_hz)
    for m, found in zip(curve.samples, curve.deviation, strict=True):
        means = np.stack([x[k : k + m].mean(axis=0) for k in range(len(x) - m + 1)])
        expected = np.sqrt(0.5 * ((means[m:] - means[:-m]) ** 2).mean(axis=0))
        # Sums of 400 numbers of size 100 in float64.
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_white_noise_falls_with_a_slope_of_a_half():
    curve = allan_deviation(at_rest(2e-3, 0.0, seconds=3600), 50.0)
    good = curve.tau < 36
    slope = np.polyfit(np.log(curve.tau[good]), np.log(curve.deviation[good]), 1)[0]
    np.testing.assert_allclose(slope, -0.5, atol=0.03)
    at_one = np.exp(np.interp(0, np.log(curve.tau), np.log(curve.deviation[:, 0])))
    # 3600 averages of a second: their deviation is known to 1.4 %.
    assert at_one == pytest.approx(2e-3, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("density", "walk"), [(1e-3, 1e-4), (2e-2, 2e-3)])
def test_known_noise_is_found_within_a_tenth(density, walk, seed):
    curve = allan_deviation(at_rest(density, walk, seconds=3 * 3600, seed=seed), 50.0)
    found = fit_noise(curve, 3 * 3600)
    assert found.walk_observable
    assert found.density.mean() == pytest.approx(density, rel=0.02)
    # Its standard error is said to be 3 % (three axes); a tenth is three of them.
    assert found.walk_error < 0.035
    assert found.walk.mean() == pytest.approx(walk, rel=0.1)


def test_the_stated_error_of_a_random_walk_is_its_real_one():
    told = [
        fit_noise(
            allan_deviation(at_rest(1e-3, 1e-4, rate_hz=10, seconds=1800, seed=s), 10.0), 1800
        )
        for s in range(30)
    ]
    spread = np.std([n.walk.mean() for n in told]) / 1e-4
    # The spread of 30 draws is itself known to 13 %.
    assert 0.6 < spread / np.mean([n.walk_error for n in told]) < 1.6


def test_the_simulators_own_imu_is_found():
    imu = Imu(rate_hz=20.0, gyroscope_random_walk=1e-4, accelerometer_random_walk=1e-3)
    ticks = 6 * 3600 * 20
    # A tenth is five standard errors of the mean walk.
    noise_key, bias_key = jax.random.split(jax.random.key(1))
    noise = np.asarray(imu.noise(noise_key, ticks), float)
    gyro_bias, accel_bias = (np.asarray(b, float) for b in imu.biases(bias_key, ticks))
    for x, density, walk in (
        (noise[:, :3] + gyro_bias, imu.gyroscope_noise_density, imu.gyroscope_random_walk),
        (noise[:, 3:] + accel_bias, imu.accelerometer_noise_density, imu.accelerometer_random_walk),
    ):
        found = fit_noise(allan_deviation(x, 20.0), ticks / 20)
        assert found.density.mean() == pytest.approx(density, rel=0.1)
        assert found.walk.mean() == pytest.approx(walk, rel=0.1)


def test_a_short_log_does_not_tell_a_random_walk():
    for seed in range(10):
        x = at_rest(1e-3, 2e-5, seconds=300, seed=seed)
        found = fit_noise(allan_deviation(x, 50.0), 300)
        assert not found.walk_observable
        assert found.density.mean() == pytest.approx(1e-3, rel=0.1)
        # Nor is one seen where there is none.
        white = at_rest(1e-3, 0.0, rate_hz=10, seed=seed)
        assert not fit_noise(allan_deviation(white, 10.0), 7200).walk_observable


@pytest.mark.parametrize("seed", range(4))
def test_flicker_is_a_flat_part_and_no_random_walk(seed):
    """Flicker: random walks forgotten after 1/4, 1, 4, 16, ... seconds, all of one size."""
    rng = np.random.default_rng(seed)
    seconds, rate_hz = 7200, 10.0
    x = at_rest(1e-3, 0.0, rate_hz=rate_hz, seconds=seconds, seed=seed)
    for tau in 4.0 ** np.arange(-1, 8):
        keep = np.exp(-1 / (tau * rate_hz))
        steps = 3e-4 * np.sqrt(1 - keep**2) * rng.normal(size=x.shape)
        x += lfilter([1], [1, -keep], steps, axis=0)
    curve = allan_deviation(x, rate_hz)
    found = fit_noise(curve, seconds)
    assert not found.walk_observable
    assert (found.instability > 1e-4).all()
    # The three terms follow the whole curve where it is well known.
    assert found.misfit < 0.15
    well = (curve.samples >= 10) & (curve.tau < seconds / 300)
    ratio = curve.deviation[well] / fitted_deviation(found, curve.tau[well])
    assert np.abs(np.log(ratio)).max() == pytest.approx(found.misfit)


def test_the_yaml_is_kalibrs_and_the_sim_takes_the_line(tmp_path, capsys):
    gyro, accel = at_rest(1e-3, 1e-4), G + at_rest(1e-2, 1e-3, seed=1)
    log = drive_file(tmp_path / "rest.npz", gyro, accel, 50.0)
    assert allan([str(log), "--out", str(tmp_path / "imu.yaml")]) == 0
    read = yaml.safe_load((tmp_path / "imu.yaml").read_text())
    assert set(read) == {
        *("gyroscope_noise_density", "gyroscope_random_walk", "rostopic", "update_rate"),
        *("accelerometer_noise_density", "accelerometer_random_walk"),
    }
    assert read["gyroscope_noise_density"] == pytest.approx(1e-3, rel=0.05)
    assert read["accelerometer_random_walk"] == pytest.approx(1e-3, rel=0.2)
    assert (read["rostopic"], read["update_rate"]) == ("imu", pytest.approx(50.0))
    line = capsys.readouterr().out.splitlines()[-1]
    made = eval(line.removeprefix("imu="), {"Imu": Imu})
    assert made.gyroscope_noise_density == pytest.approx(read["gyroscope_noise_density"], rel=1e-2)
    assert made.rate_hz == pytest.approx(50.0)


def test_a_short_log_writes_the_density_and_says_what_is_missing(tmp_path, capsys):
    gyro, accel = at_rest(1e-3, 1e-6, seconds=60), G + at_rest(1e-2, 1e-5, seconds=60)
    log = drive_file(tmp_path / "rest.npz", gyro, accel, 50.0)
    allan([str(log), "--out", str(tmp_path / "imu.yaml")])
    text = (tmp_path / "imu.yaml").read_text()
    assert "gyroscope_random_walk" not in yaml.safe_load(text)
    assert "# gyroscope_random_walk: the log, 60 s, is too short" in text
    assert "too short" in capsys.readouterr().out


def test_a_moving_imu_is_refused_with_its_rest_named(tmp_path):
    gyro, accel = at_rest(1e-3, 1e-6, seconds=200), G + at_rest(1e-2, 1e-5, seconds=200)
    gyro[7000:7500, 2] += 0.3 * np.sin(np.linspace(0, 20, 500))
    log = drive_file(tmp_path / "moved.npz", gyro, accel, 50.0)
    with pytest.raises(UserError, match="moves in 10 of 200 s") as caught:
        allan([str(log)])
    assert "--from-s 0.0 --to-s 140.0" in caught.value.cure
    assert allan([str(log), "--to-s", "140"]) == 0


def test_a_tilt_without_noise_is_a_move_too():
    gyro, accel = at_rest(1e-3, 0.0, seconds=60), G + at_rest(1e-2, 0.0, seconds=60)
    accel[2000:] += [1.0, 0.0, 0.0]
    with pytest.raises(UserError, match="moves"):
        select_stationary(np.arange(3000) / 50, gyro, accel, log="log")


def test_a_drifting_bias_is_no_move():
    gyro = at_rest(1e-3, 2e-5, seconds=4 * 3600, rate_hz=20)
    accel = G + at_rest(1e-2, 2e-4, seconds=4 * 3600, rate_hz=20)
    rest = select_stationary(np.arange(len(gyro)) / 20, gyro, accel, log="log")
    assert rest.rate_hz == pytest.approx(20)
    assert rest.notes == ()


def test_vibration_is_called_more_than_noise(tmp_path, capsys):
    gyro, accel = at_rest(1e-3, 0.0, seconds=600), G + at_rest(1e-2, 0.0, seconds=600)
    t = np.arange(len(gyro)) / 50
    allan([str(drive_file(tmp_path / "a.npz", gyro, accel, 50.0))])
    assert "more than noise" not in capsys.readouterr().out
    accel += 0.2 * np.sin(2 * np.pi * 1.3 * t)[:, None]
    allan([str(drive_file(tmp_path / "b.npz", gyro, accel, 50.0))])
    assert capsys.readouterr().out.count("more than noise") == 1


def test_gaps_and_uneven_steps_are_stated():
    n = 5000
    gyro, accel = at_rest(1e-3, 0.0, seconds=100), G + at_rest(1e-2, 0.0, seconds=100)
    t = np.arange(n) / 50
    t[1000:] += 3.0
    t[3000:] += 0.1
    rest = select_stationary(t, gyro, accel, log="log")
    assert len(rest.gyro) == 4000
    assert "only the longest span" in rest.notes[1]
    assert "uneven: 2 of 4999" in rest.notes[0]


def test_useless_readings_are_refused():
    gyro, accel = at_rest(1e-3, 0.0, seconds=60), G + at_rest(1e-2, 0.0, seconds=60)
    t = np.arange(3000) / 50
    with pytest.raises(UserError, match="too short"):
        select_stationary(t[:100], gyro[:100], accel[:100], log="log")
    with pytest.raises(UserError, match="never changes"):
        select_stationary(t, np.zeros((3000, 3)), accel, log="log")
    with pytest.raises(UserError, match="moves"):
        select_stationary(t, np.random.default_rng(0).normal(size=(3000, 3)), accel, log="log")


def test_units_of_gravity_are_found(tmp_path):
    gyro, accel = at_rest(1e-3, 0.0, seconds=60), (G + at_rest(1e-2, 0.0, seconds=60)) / 9.80665
    log = drive_file(tmp_path / "g.npz", gyro, accel, 50.0)
    with pytest.raises(UserError, match=r"reads 1\.00") as caught:
        allan([str(log)])
    assert "--accel-unit g" in caught.value.cure
    assert allan([str(log), "--accel-unit", "g"]) == 0


def test_a_csv_in_degrees_gives_radians(tmp_path):
    gyro, accel = at_rest(1e-3, 0.0, seconds=120), G + at_rest(1e-2, 0.0, seconds=120)
    t = np.arange(len(gyro)) / 50
    names = "t_s,gyro_x_deg_s,gyro_y_deg_s,gyro_z_deg_s,accel_x,accel_y,accel_z"
    path = tmp_path / "imu.csv"
    table = np.column_stack([t, np.degrees(gyro), accel])
    np.savetxt(path, table, "%.9g", delimiter=",", header=names, comments="")
    out = tmp_path / "imu.yaml"
    allan([str(path), "--out", str(out)])
    read = yaml.safe_load(out.read_text())
    assert read["gyroscope_noise_density"] == pytest.approx(1e-3, rel=0.05)
    assert read["rostopic"] == "imu.csv"
    # Where nothing says so, rest in deg/s would pass for a move in rad/s.
    with pytest.raises(UserError, match="while nothing moves") as caught:
        allan([str(path), "--gyro-unit", "rad/s"])
    assert "--gyro-unit deg/s" in caught.value.cure


def test_a_log_without_an_imu_says_so(tmp_path):
    path = tmp_path / "volts.csv"
    path.write_text("t_s,volts\n" + "".join(f"{i},12\n" for i in range(50)))
    with pytest.raises(UserError, match="has no IMU"):
        allan([str(path)])


def test_the_picture_has_both_sensors(tmp_path):
    gyro, accel = at_rest(1e-3, 1e-4), G + at_rest(1e-2, 1e-3, seed=1)
    log = drive_file(tmp_path / "rest.npz", gyro, accel, 50.0)
    allan([str(log), "--plot", str(tmp_path / "allan.svg")])
    text = (tmp_path / "allan.svg").read_text()
    assert "Allan deviation [rad/s]" in text
    assert "Allan deviation [m/s^2]" in text
    with pytest.raises(UserError, match="the suffix must be"):
        allan([str(log), "--plot", str(tmp_path / "allan.gif")])
    with pytest.raises(UserError, match="cannot write"):
        allan([str(log), "--out", str(tmp_path / "nowhere" / "imu.yaml")])
