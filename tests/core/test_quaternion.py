"""Our quaternions against scipy's, and against themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kalmanrnn.core import quaternion

pytestmark = pytest.mark.usefixtures("float64")

# Rounding of a few products of numbers below one, in float64.
CLOSE = {"rtol": 0, "atol": 1e-14}


def each(function):
    return jax.jit(jax.vmap(function))


def quaternions(seed, count=200):
    return Rotation.random(count, rng=np.random.default_rng(seed))


def vectors(seed, sizes):
    way = np.random.default_rng(seed).normal(size=(len(sizes), 3))
    return way / np.linalg.norm(way, axis=1, keepdims=True) * np.asarray(sizes)[:, None]


def same_turn(a, b):
    """Quaternions q and -q are one rotation."""
    sign = np.sign(np.sum(np.asarray(a) * b, axis=-1, keepdims=True))
    np.testing.assert_allclose(sign * a, b, **CLOSE)


def test_product_and_inverse_are_scipys():
    a, b = quaternions(0), quaternions(1)
    same_turn(each(quaternion.multiply)(a.as_quat(), b.as_quat()), (a * b).as_quat())
    same_turn(each(quaternion.inverse)(a.as_quat()), a.inv().as_quat())


def test_rotate_and_matrix_are_scipys():
    a, v = quaternions(0), np.random.default_rng(2).normal(size=(200, 3))
    np.testing.assert_allclose(each(quaternion.rotate)(a.as_quat(), v), a.apply(v), **CLOSE)
    np.testing.assert_allclose(each(quaternion.matrix)(a.as_quat()), a.as_matrix(), **CLOSE)


def test_exp_and_log_are_scipys():
    v = vectors(3, np.geomspace(1e-9, np.pi - 1e-6, 300))
    q = Rotation.from_rotvec(v).as_quat()
    same_turn(each(quaternion.exp)(v), q)
    np.testing.assert_allclose(each(quaternion.log)(q), v, rtol=0, atol=1e-12)
    np.testing.assert_allclose(each(quaternion.log)(-q), v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-4, 0.9999e-3, 1.0001e-3, 1.0, 3.0, np.pi - 1e-6])
def test_log_undoes_exp(size):
    v = vectors(4, [size] * 20)
    back = each(lambda d: quaternion.log(quaternion.exp(d)))(v)
    # The series gives way to sine at 1e-3 with an error of 1e-20; what is left is rounding.
    np.testing.assert_allclose(back, v, rtol=1e-12, atol=1e-15)


def test_log_takes_the_short_way_round():
    v = vectors(5, [3.5] * 10)
    size = np.linalg.norm(each(lambda d: quaternion.log(quaternion.exp(d)))(v), axis=1)
    np.testing.assert_allclose(size, 2 * np.pi - 3.5, rtol=1e-12)


def test_derivatives_at_no_turn_are_exact():
    zero = jnp.zeros(3)
    there_and_back = jax.jit(jax.jacfwd(lambda d: quaternion.log(quaternion.exp(d))))(zero)
    np.testing.assert_allclose(there_and_back, np.eye(3), **CLOSE)
    backward = jax.jit(jax.jacrev(lambda d: quaternion.log(quaternion.exp(d))))(zero)
    np.testing.assert_allclose(backward, np.eye(3), **CLOSE)


def test_about_and_yaw_agree():
    angles = np.linspace(-3, 3, 13)
    headings = each(lambda a: quaternion.yaw(quaternion.from_axis_angle(2, a)))(angles)
    np.testing.assert_allclose(headings, angles, **CLOSE)
