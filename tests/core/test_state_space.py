"""Retract and difference on a state of every kind of block."""

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kalmanrnn.core.state_space import Block, StateSpace, wrap

pytestmark = pytest.mark.usefixtures("float64")

SPACE = StateSpace(
    (
        Block("place", size=2, unit="m"),
        Block("heading", "angle", unit="deg"),
        Block("attitude", "rotation", unit="deg"),
        Block("camera", "rotation", side="body"),
    )
)
# Compiled: a thousand small steps, each alone, take seconds.
retract, difference = jax.jit(SPACE.retract), jax.jit(SPACE.difference)


def some_state(seed):
    d = np.random.default_rng(seed).normal(size=SPACE.tangent_dim)
    return retract(SPACE.identity(), d)


def test_sizes_and_slices():
    assert (SPACE.state_dim, SPACE.tangent_dim) == (11, 9)
    assert SPACE.state_slice("attitude") == slice(3, 7)
    assert SPACE.tangent_slice("camera") == slice(6, 9)
    assert SPACE.block("heading").factor == pytest.approx(57.29577951308232)
    with pytest.raises(KeyError, match="no block 'place_'"):
        SPACE.block("place_")


def test_difference_undoes_retract():
    for seed in range(20):
        x = some_state(seed)
        d = 0.9 * np.random.default_rng(100 + seed).uniform(-1, 1, SPACE.tangent_dim)
        back = difference(retract(x, d), x)
        np.testing.assert_allclose(back, d, rtol=0, atol=1e-14)


def test_retract_undoes_difference():
    x, y = some_state(1), some_state(2)
    again = retract(x, difference(y, x))
    apart = difference(again, y)
    np.testing.assert_allclose(apart, 0, atol=1e-14)


def test_the_tangent_at_no_error_is_the_identity():
    x = some_state(3)
    slope = jax.jit(jax.jacfwd(lambda d: difference(retract(x, d), x)))(np.zeros(9))
    np.testing.assert_allclose(slope, np.eye(9), rtol=0, atol=1e-14)


def test_angles_go_round():
    np.testing.assert_allclose(
        wrap(np.array([3.5, -3.5, np.pi])), [3.5 - 2 * np.pi, 2 * np.pi - 3.5, -np.pi]
    )
    x, y = SPACE.identity(), SPACE.identity()
    x[2], y[2] = 3.1, -3.1
    assert difference(y, x)[2] == pytest.approx(2 * np.pi - 6.2)


def test_sides_differ_by_the_rotation_itself():
    """A body-side tangent, turned into world axes, is the world-side one (Sola 2017, eq. 81)."""
    world, body = (StateSpace((Block("q", "rotation", side=s),)) for s in ("world", "body"))
    x, d = some_state(4)[3:7], np.array([0.1, -0.2, 0.3])
    turned = Rotation.from_quat(np.asarray(x)).apply(d)
    np.testing.assert_allclose(body.retract(x, d), world.retract(x, turned), rtol=0, atol=1e-14)


def test_a_state_stays_on_its_manifold():
    x = some_state(5)
    for _ in range(1000):
        x = retract(x, 0.3 * np.ones(9))
    assert np.linalg.norm(x[3:7]) == pytest.approx(1, abs=1e-14)
    # One that left it is brought back.
    x = retract(1.001 * x, np.zeros(9))
    assert np.linalg.norm(x[3:7]) == pytest.approx(1, abs=1e-14)
