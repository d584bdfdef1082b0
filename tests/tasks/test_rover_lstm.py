"""The task whose network sees a rover's readings: what stands in its columns, and when."""

import jax
import numpy as np
import pytest

from kalmanrnn.scenarios.catalogue import find_sim
from kalmanrnn.scenarios.loading import run_file
from kalmanrnn.scenarios.simulation import simulate_drive

SIM = run_file(find_sim("rover_lstm"))


@pytest.fixture(scope="module")
def drive():
    made = jax.jit(lambda key: simulate_drive(SIM.ROVER, key, events=60))(jax.random.key(3))
    return jax.tree.map(np.asarray, made)


def test_a_step_holds_what_was_read_up_to_it(drive):
    x = np.asarray(SIM.readings(drive).x)
    means = drive.packets.u.mean(axis=1)
    # Inputs of the interval that ends here: none at the first step, never those to come.
    np.testing.assert_array_equal(x[0, :4], 0)
    np.testing.assert_allclose(x[1:, :4], means[:-1], rtol=1e-6)
    np.testing.assert_array_equal(x[:, 4], drive.packets.z[:, 0])
    last = np.maximum.accumulate(np.where(drive.packets.seen[:, 1], np.arange(60), 0))
    assert not drive.packets.seen[:, 1].all()
    np.testing.assert_array_equal(x[:, 5:], drive.packets.z[last, 1:])


def test_columns_read_what_labels_name(drive):
    sample = SIM.readings(drive)
    x, y = np.asarray(sample.x), np.asarray(sample.y)
    turned = np.angle(np.exp(1j * (x[:, 4] - y[:, 2])))
    # Noise of 0.1 rad and 1 m; a fix held for a step is at most 0.3 m old.
    assert turned.std() < 0.2
    assert np.abs(x[:, 5:] - y[:, :2]).max() < 6.0
    assert SIM.pose_error((y - y)[None]) == (0.0, 0.0)
    off = np.zeros((1, 60, 3))
    off[..., 2] = 2 * np.pi - np.radians(3)
    off[..., :2] = (3.0, 4.0)
    position, heading = SIM.pose_error(off)
    assert (position, heading) == (pytest.approx(5.0), pytest.approx(3.0))
