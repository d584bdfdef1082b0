"""Random curves: smooth, of unit variance, with true derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.scenarios.trajectories import integrate, random_spline, smoothstep

pytestmark = pytest.mark.usefixtures("float64")


@jax.jit
def curve(key):
    return random_spline(key, 2000, 0.01, 1.0)


@pytest.fixture(scope="module")
def one():
    with jax.enable_x64(True):
        return np.asarray(curve(jax.random.key(0)))


def test_rows_are_derivatives_of_each_other(one):
    step = 0.005
    for row in (0, 1):
        central = (one[row, 2:] - one[row, :-2]) / (2 * step)
        # Central differences err by step^2 / 6 times the third derivative (up to ~30 per s^3).
        np.testing.assert_allclose(central, one[row + 1, 1:-1], rtol=0, atol=2e-3)


def test_integrate_is_the_inverse_of_the_derivative(one):
    back = integrate(jnp.asarray(one[None, 1]), 0.01)[0] + one[0, 0]
    # Simpson's error per second is dt^4 / 2880 times a fifth derivative of order 1e3.
    np.testing.assert_allclose(back, one[0, ::2], rtol=0, atol=1e-8)


def test_integrate_is_exact_for_cubics():
    t = np.linspace(0, 1, 21)
    np.testing.assert_allclose(integrate((4 * t**3)[None], 0.1)[0], t[::2] ** 4, atol=1e-15)


def test_unit_variance():
    keys = jax.random.split(jax.random.key(1), 500)
    many = jax.jit(jax.vmap(lambda k: random_spline(k, 100, 0.1, 1.0)[0]))(keys)
    # 5,000 independent spans: the standard error of the deviation is about 1 %.
    assert np.std(many) == pytest.approx(1.0, abs=0.04)


def test_other_keys_other_curves(one):
    other = curve(jax.random.key(1))
    assert np.abs(np.asarray(other) - one).max() > 0.5


def test_smoothstep_ends_flat():
    slope, bend = jax.jit(jax.grad(smoothstep)), jax.jit(jax.grad(jax.grad(smoothstep)))
    assert [float(smoothstep(x)) for x in (-1.0, 0.5, 2.0)] == [0.0, 0.5, 1.0]
    for end in (1e-6, 1 - 1e-6):
        assert abs(slope(end)) < 1e-9
        assert abs(bend(end)) < 1e-4
