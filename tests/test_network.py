import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.config import StudentConfig
from kalmanrnn.network import core, make_core, of_student


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_sequence_is_steps_repeated(cell, layers):
    config = StudentConfig(cell=cell, layers=layers, hidden=7, head=5)
    graph, params = make_core(3, 4, of_student(config), seed=0)
    params = jax.tree.map(lambda a: a + 0.1, params)
    network = core(graph, params)
    xs = jax.random.normal(jax.random.key(1), (11, 3))
    memory, together = network.sequence(network.start(), xs)
    one, apart = network.start(), []
    for x in xs:
        one, y = network.step(one, x)
        apart.append(y)
    # The two differ only in how XLA orders float32 sums.
    np.testing.assert_allclose(together, jnp.stack(apart), atol=2e-6)
    for a, b in zip(jax.tree.leaves(memory), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_the_first_output_is_zero_and_forget_gates_start_open():
    config = StudentConfig(hidden=64, chrono_events=300)
    graph, params = make_core(3, 4, of_student(config), seed=0)
    network = core(graph, params)
    _, y = network.step(network.start(), jnp.ones(3))
    assert np.all(np.asarray(y) == 0)
    bias = np.asarray(network.layers[0].x_map.bias[...])
    forget = bias[64:128]
    np.testing.assert_array_equal(bias[:64], -forget)
    assert forget.min() >= 0
    assert np.log(150) < forget.max() <= np.log(300)


def test_lstm_equals_the_textbook():
    config = StudentConfig(hidden=4, head=4)
    graph, params = make_core(2, 1, of_student(config), seed=3)
    layer = core(graph, params).layers[0]
    x, h, c = np.array([0.3, -0.7]), np.full(4, 0.2), np.full(4, -0.5)
    w, b = np.asarray(layer.x_map.kernel[...]), np.asarray(layer.x_map.bias[...])
    u = np.asarray(layer.h_map.kernel[...])
    i, f, g, o = np.split(x @ w + b + h @ u, 4)

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    after_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    after_h = sigmoid(o) * np.tanh(after_c)
    (got_h, got_c), out = layer.update((jnp.array(h), jnp.array(c)), layer.x_map(jnp.array(x)))
    np.testing.assert_allclose(got_c, after_c, atol=1e-6)
    np.testing.assert_allclose(got_h, after_h, atol=1e-6)
    np.testing.assert_array_equal(out, got_h)
