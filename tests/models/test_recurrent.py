import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.config import NetworkConfig, StudentConfig
from kalmanrnn.models.recurrent import make_core, merge, network_config


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_sequence_is_steps_repeated(cell, layers):
    config = StudentConfig(cell=cell, layers=layers, hidden=7, head=5)
    graph, params = make_core(3, 4, network_config(config), seed=0)
    params = jax.tree.map(lambda a: a + 0.1, params)
    network = merge(graph, params)
    xs = jax.random.normal(jax.random.key(1), (11, 3))
    memory, together = jax.jit(network.sequence)(network.initial_state(), xs)
    one, apart, step = network.initial_state(), [], jax.jit(network.step)
    for x in xs:
        one, y = step(one, x)
        apart.append(y)
    # The two differ only in how XLA orders float32 sums.
    np.testing.assert_allclose(together, jnp.stack(apart), atol=2e-6)
    for a, b in zip(jax.tree.leaves(memory), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_the_first_output_is_zero_and_forget_gates_start_open():
    config = StudentConfig(hidden=64, chrono_events=300)
    graph, params = make_core(3, 4, network_config(config), seed=0)
    network = merge(graph, params)
    _, y = network.step(network.initial_state(), jnp.ones(3))
    assert np.all(np.asarray(y) == 0)
    bias = np.asarray(network.layers[0].x_map.bias[...])
    forget = bias[64:128]
    np.testing.assert_array_equal(bias[:64], -forget)
    assert forget.min() >= 0
    assert np.log(150) < forget.max() <= np.log(300)


def test_lstm_equals_the_textbook():
    config = StudentConfig(hidden=4, head=4)
    graph, params = make_core(2, 1, network_config(config), seed=3)
    layer = merge(graph, params).layers[0]
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


def made(inputs, outputs, **settings):
    graph, params = make_core(inputs, outputs, NetworkConfig(**settings), seed=0)
    # Biases that start at zero would hide a bias that is left out.
    return merge(graph, jax.tree.map(lambda a: a + 0.05, params))


def batch(network, xs):
    start = jax.tree.map(
        lambda a: jnp.broadcast_to(a, (xs.shape[1], *a.shape)), network.initial_state()
    )
    return jax.jit(network.run_layers)(start, xs)


@pytest.mark.parametrize("settings", [{"skip": True}, {"head": 5}, {"recurrent_output": True}])
@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_all_shapes_of_network_step_as_they_scan(settings, cell):
    network = made(3, 4, cell=cell, layers=2, hidden=6, **settings)
    xs = jax.random.normal(jax.random.key(1), (9, 3))
    _, together = jax.jit(network.sequence)(network.initial_state(), xs)
    memory, apart, step = network.initial_state(), [], jax.jit(network.step)
    for x in xs:
        memory, y = step(memory, x)
        apart.append(y)
    assert together.shape == (9, 4)
    # The two differ only in how XLA orders float32 sums.
    np.testing.assert_allclose(together, jnp.stack(apart), atol=2e-6)


def test_a_skip_shows_the_input_to_every_layer_and_every_layer_to_the_head():
    plain, skipping = made(3, 1, layers=3, hidden=5), made(3, 1, layers=3, hidden=5, skip=True)
    assert [layer.x_map.kernel.shape[0] for layer in plain.layers] == [3, 5, 5]
    assert [layer.x_map.kernel.shape[0] for layer in skipping.layers] == [3, 8, 8]
    assert skipping.out_map.kernel.shape[0] == 15


def test_a_recurrent_output_cannot_leave_the_unit_interval():
    network = made(2, 3, hidden=8, recurrent_output=True)
    xs = 100 * jax.random.normal(jax.random.key(0), (40, 2))
    _, out = jax.jit(network.sequence)(network.initial_state(), xs)
    assert float(jnp.abs(out).max()) <= 1.0


def test_backward_layers_are_forward_ones_on_the_turned_sequence():
    network = made(2, 1, hidden=4, bidirectional=True)
    xs = jax.random.normal(jax.random.key(0), (7, 3, 2))
    _, seen = batch(network, xs)
    back = network.backward[0]
    start = tuple(jnp.broadcast_to(a, (3, 4)) for a in back.initial_state())
    _, turned = jax.lax.scan(back.update, start, back.x_map(xs[::-1]))
    np.testing.assert_allclose(seen[..., 4:], turned[::-1], atol=1e-6)
    # Each direction is read where it has seen the whole sequence.
    summary = network.summary(seen)
    np.testing.assert_array_equal(summary[:, :4], seen[-1, :, :4])
    np.testing.assert_array_equal(summary[:, 4:], seen[0, :, 4:])
    # And a change anywhere is seen there.
    _, other = batch(network, xs.at[3].add(1.0))
    assert (np.abs(network.summary(other) - summary).max(axis=0) > 0).all()


def test_strided_convolutions_shorten_the_sequence_and_weigh_windows():
    network = made(2, 1, hidden=4, conv=((3, 5, 2), (6, 3, 3)))
    xs = jax.random.normal(jax.random.key(0), (31, 1, 2))
    first, second = (c.kernel[...] for c in network.convolutions)
    out = network.convolve(xs)
    assert out.shape == (4, 1, 6)

    def by_hand(xs, kernel, bias, width, stride):
        starts = range(0, len(xs) - width + 1, stride)
        rows = [jnp.einsum("tf,tfc->c", xs[s : s + width], kernel) + bias for s in starts]
        return jax.nn.gelu(jnp.stack(rows))

    a, b = (c.bias[...] for c in network.convolutions)
    hand = by_hand(by_hand(xs[:, 0], first, a, 5, 2), second, b, 3, 3)
    np.testing.assert_allclose(out[:, 0], hand, atol=1e-5)


def test_forget_gates_start_at_one_without_a_chrono_memory():
    network = merge(*make_core(2, 1, NetworkConfig(hidden=4), seed=0))
    bias = np.asarray(network.layers[0].x_map.bias[...])
    np.testing.assert_array_equal(bias, [0] * 4 + [1] * 4 + [0] * 8)
