import jax
import numpy as np
import pytest

from kalmanrnn.core.config import DataConfig
from kalmanrnn.data.augmentation import rotate_yaw
from kalmanrnn.data.teacher_runs import make_drives, teacher_estimates
from kalmanrnn.scenarios.scenario import load_scenario


@pytest.mark.parametrize("name", ["imu_gps"])
def test_the_filters_answer_turns_with_the_world(name):
    scenario = load_scenario(name)
    drives = make_drives(scenario, DataConfig(seconds=6.0), 3, 0, 3)
    with jax.enable_x64(True):
        run = teacher_estimates(scenario, "ekf", drives)
        angles = np.array([0.7, -2.0, 3.0])
        about, expected = rotate_yaw(scenario, drives, run, angles)
        found = teacher_estimates(scenario, "ekf", about)
        for got, want in zip(found, expected, strict=True):
            # Rounding alone: float64 over 600 ticks.
            np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8)
        assert np.abs(np.asarray(about.truth) - np.asarray(drives.truth)).max() > 1.0
