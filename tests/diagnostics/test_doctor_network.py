"""What doctor says of a network: its reach, its memory, its gradients, its training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sequencemaking as making

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.diagnostics.training import fit, learning, width
from kalmanrnn.diagnostics.training.curves import measure_curves
from kalmanrnn.diagnostics.training.diagnosis import diagnose
from kalmanrnn.diagnostics.training.memory import memory_length
from kalmanrnn.diagnostics.training.network import Network, make_network, run_sequence
from kalmanrnn.diagnostics.training.output_range import probe_output_range
from kalmanrnn.diagnostics.training.regression import standardise_columns
from kalmanrnn.diagnostics.training.sequences import make_sequences

H = 16


def weights(seed=0, inputs=2, outputs=1, size=1.0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(size * rng.normal(size=shape) / np.sqrt(shape[0]), jnp.float32)

    return {"x": draw(inputs, H), "h": draw(H, H), "out": draw(H, outputs)}


def elman(p, carry, x):
    h = jnp.tanh(x @ p["x"] + carry @ p["h"])
    return h, h @ p["out"]


def names(x, y, step=elman, carry=None, params=None, **more):
    carry = jnp.zeros(H) if carry is None else carry
    seen = diagnose(x, y, step=step, carry=carry, params=params, **({"learn": False} | more))
    return [f.name for f in seen.findings]


@pytest.fixture(scope="module")
def taught():
    """An LSTM that has learnt to give a column three steps late."""
    x, y = making.lagged(lag=3)
    series = make_sequences(x, y)
    network = make_network(2, 1, NetworkConfig(hidden=24, chrono_steps=10), seed=0)
    seen = fit.fit(
        network, series, np.array([1e-2]), params=fit.replicate(network.params, 1),
        updates=300, batch=16, loss=fit.mean_squared_error,
    )  # fmt: skip
    return network._replace(params=jax.tree.map(lambda a: a[0], seen.params)), x, y


def test_a_network_that_has_learnt_its_task_is_healthy(taught):
    network, x, y = taught
    assert names(x, y, network.step, network.carry, network.params) == []


def test_the_sensitivity_of_a_trained_network_peaks_at_the_lag(taught):
    network, x, y = taught
    seen = measure_curves(network, make_sequences(x, y))
    assert int(seen.sensitivity[1:].argmax()) + 1 == 3


def test_sensitivity_of_a_filter_is_its_impulse_response():
    x, y = making.lagged(steps=20)
    x, y = x[..., :1], y * 1.0

    def step(carry, x):
        after = 0.8 * carry + x
        return after, after

    network = Network(lambda _, carry, x: step(carry, x), jnp.zeros(1), None)
    seen = measure_curves(network, make_sequences(x, y))
    wanted = 0.8 ** np.arange(20) * x.std() / y.std()
    # float32 through 20 steps.
    np.testing.assert_allclose(seen.sensitivity, wanted, rtol=1e-4)
    share = seen.gradient / seen.gradient[0]
    np.testing.assert_allclose(share, 0.8 ** np.arange(20), rtol=1e-4)


def test_a_network_without_memory_is_found():
    x, y = making.lagged()

    def memoryless(p, carry, x):
        return carry, jnp.tanh(x @ p["x"]) @ p["out"]

    assert names(x, y, memoryless, params=weights()) == ["memory"]
    # Where the task needs none, none is missed.
    now = x[..., :1] + 0.1 * y
    assert names(x, now, memoryless, params=weights(1)) == []


def test_gradients_that_vanish_and_explode_are_found():
    x, y = making.lagged(lag=12)
    params = weights()
    small = params | {"h": 0.2 * params["h"]}
    assert {"memory", "gradient"} <= set(names(x, y, params=small))

    def linear(p, carry, x):
        h = x @ p["x"] + carry @ p["h"]
        return h, h @ p["out"]

    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(H, H)))[0], jnp.float32)
    assert "gradient" in names(x, y, linear, params=params | {"h": 1.3 * turn})
    assert "gradient" not in names(x, y, linear, params=params | {"h": turn})


@pytest.mark.parametrize(
    ("end", "limits"),
    [
        (jnp.tanh, (-1.0, 1.0)),
        (jax.nn.sigmoid, (0.0, 1.0)),
        (jax.nn.relu, (0.0, np.inf)),
        (lambda a: a, (-np.inf, np.inf)),
    ],
)
def test_the_range_of_an_output_is_found_by_probing(end, limits):
    def step(p, carry, x):
        carry, out = elman(p, carry, x)
        return carry, end(out)

    network = Network(step, jnp.zeros(H), weights())
    assert probe_output_range(network, 2) == limits
    x, y = making.lagged()
    y = y / y.std()
    assert ("range" in names(x, y, step, params=weights())) == np.isfinite(limits).any()
    inside = 0.5 + 0.4 * np.tanh(y)
    assert "range" not in names(x, inside, step, params=weights())


def test_a_recurrent_layer_as_the_output_layer_is_found():
    x, y = making.lagged()
    y = y / np.abs(y).max()
    rng = np.random.default_rng(0)
    params = {"x": jnp.asarray(rng.normal(size=(2, 1))), "h": jnp.asarray(rng.normal(size=(1, 1)))}

    def step(p, carry, x):
        h = jnp.tanh(x @ p["x"] + carry @ p["h"])
        return h, h

    whole = diagnose(x, y, step=step, carry=jnp.zeros(1), params=params, learn=False)
    assert [f.level for f in whole.findings if f.name == "output layer"] == ["error"]
    # Without its parameters too: by its inputs alone.
    assert "output layer" in names(x, y, lambda c, a: step(params, c, a), jnp.zeros(1))


def test_output_feedback_is_no_recurrent_output_layer():
    x, y = making.lagged()

    def step(p, carry, x):
        h, last = carry
        h, out = elman(p, h, jnp.concatenate([x, last]))
        return (h, out), out

    params = weights(inputs=3)
    assert "output layer" not in names(x, y, step, (jnp.zeros(H), jnp.zeros(1)), params)


def test_a_batch_that_cannot_be_learnt_by_heart_is_found():
    x, y = making.lagged(n=32)

    def cut(p, carry, x):
        return carry, jax.lax.stop_gradient(elman(p, carry, x)[1]) + 0 * p["out"][0]

    series = make_sequences(x, y)
    broken = Network(cut, jnp.zeros(H), weights())
    assert [f.name for f in learning.check_one_batch(broken, series, fit.mean_squared_error)] == [
        "one batch"
    ]
    # Equal inputs with different targets can be learnt by nobody.
    same = standardise_columns(
        make_sequences(np.ones_like(x) * x[:1], np.random.default_rng(0).normal(size=y.shape))
    )
    core = make_network(2, 1, NetworkConfig(hidden=32, head=32, chrono_steps=40), seed=0)
    assert learning.check_one_batch(core, same, fit.mean_squared_error)


def test_zeros_behind_short_sequences_do_not_make_them_alike():
    rng = np.random.default_rng(0)
    x = np.zeros((12, 200, 1))
    x[:, :30] = rng.normal(size=(12, 30, 1))
    few = learning.shorten(make_sequences(x, x[:, :30].mean(axis=1)), learning.STEPS)
    assert few.inputs.shape[1] > 170
    assert np.ptp(few.inputs[:, :, 0], axis=0).max() > 1
    # Where the end differs, the end is enough.
    assert learning.shorten(make_sequences(x[:, :30], x[:, 29]), 24).inputs.shape[1] == 24


@pytest.mark.parametrize("make", [making.lagged, making.bursts])
def test_healthy_batches_are_learnt_by_heart(make):
    series = standardise_columns(make_sequences(*make(n=32)))
    sizes = series.inputs.shape[2], series.targets.shape[2]
    core = make_network(*sizes, NetworkConfig(hidden=32, head=32, chrono_steps=40), seed=0)
    assert learning.check_one_batch(core, series, fit.mean_squared_error) == []


@pytest.mark.parametrize(
    ("rate", "level"),
    [
        (1.0, "error"),
        (1e-2, None),
        pytest.param(1e-3, None, marks=pytest.mark.slow),
        (1e-6, "warning"),
    ],
)
def test_rates_too_high_and_too_low_are_found(rate, level):
    series = standardise_columns(make_sequences(*making.lagged(lag=1)))
    core = make_network(2, 1, NetworkConfig(hidden=24, chrono_steps=10), seed=0)
    found, best = learning.check_learning_rate(core, series, fit.mean_squared_error, rate)
    assert [f.level for f in found] == [level] * (level is not None)
    assert best is not None
    assert 1e-3 < best < 1


def sweep(x, y, rate, cell="elman"):
    series = standardise_columns(make_sequences(x, y))
    half = len(x) // 2
    parts = [
        series._replace(inputs=series.inputs[s], targets=series.targets[s])
        for s in (slice(half), slice(half, None))
    ]
    config = NetworkConfig(cell=cell)
    return width.run_width_sweep(
        parts[0], parts[1], config, rate, fit.mean_squared_error, widths=(4, 48)
    )


@pytest.mark.slow
def test_wider_is_worse_by_optimisation_by_overfitting_or_not_at_all():
    x, y = making.lagged(lag=1, steps=10, n=80)
    assert width.check_width(sweep(x, y, 1e-2)) == []
    # At this rate 4 tanh units learn and 48 do not (0.03 and 1.0 of a constant output's loss).
    steep_one = sweep(x, y, 0.2)
    steep = width.check_width(steep_one)
    assert [(f.level, "optimisation" in f.what) for f in steep] == [("error", True)]
    # Overfitting is a matter of the draw, so its figures are made up.
    train = np.array([[0.30, 0.28, 0.29], [0.001, 0.002, 0.001]])
    held = np.array([[0.41, 0.39, 0.40], [0.90, 0.95, 0.92]])
    learnt = width.check_width(steep_one._replace(train=train, validation=held))
    assert [(f.level, "overfit" in f.what) for f in learnt] == [("warning", True)]
    assert width.check_width(steep_one._replace(train=train, validation=held[::-1])) == []


def test_more_parameters_than_data_is_found_where_it_harms():
    rng = np.random.default_rng(0)
    noise = make_sequences(rng.normal(size=(16, 10, 2)), rng.normal(size=(16, 1)))
    held = make_sequences(rng.normal(size=(16, 10, 2)), rng.normal(size=(16, 1)))
    network = Network(elman, jnp.zeros(H), weights())
    found = width.check_parameters(network, noise, held, 1e-2, fit.mean_squared_error)
    assert [f.name for f in found] == ["parameters"]
    plenty = standardise_columns(make_sequences(*making.lagged()))
    assert width.check_parameters(network, plenty, plenty, 1e-2, fit.mean_squared_error) == []


@pytest.mark.slow
def test_a_whole_check_trains_a_users_network(monkeypatch):
    monkeypatch.setattr(width, "UPDATES", 10)
    monkeypatch.setattr(width, "WIDTHS", (4,))
    x, y = making.lagged(n=32, steps=10, lag=2)
    seen = diagnose(x, y, step=elman, carry=jnp.zeros(H), params=weights(), learning_rate=1.0)
    assert "learning rate" in [f.name for f in seen.findings]
    assert seen.width_sweep is not None
    assert "learning rate" in str(seen)


def test_reach_is_the_last_step_above_a_hundredth():
    assert memory_length(np.array([1.0, 0.5, 0.02, 0.005])) == 2


def test_outputs_equal_a_loop():
    network = Network(elman, jnp.zeros(H), weights())
    x = jnp.asarray(making.lagged(n=1, steps=7)[0][0], jnp.float32)
    carry, rows = network.carry, []
    for row in x:
        carry, out = elman(network.params, carry, row)
        rows.append(out)
    # The same float32 products in another order.
    np.testing.assert_allclose(run_sequence(network, network.params, x), np.stack(rows), rtol=1e-5)


@pytest.mark.parametrize(
    ("step", "carry", "said"),
    [
        (lambda carry: carry, jnp.zeros(H), "does not run"),
        (lambda carry, x: (carry, jnp.zeros(3)), jnp.zeros(H), "outputs 3 numbers"),
        (lambda carry, x: (carry[:2], jnp.zeros(1)), jnp.zeros(H), "changes shape"),
    ],
)
def test_a_step_that_is_none_is_refused(step, carry, said):
    with pytest.raises(UserError, match=said):
        diagnose(*making.lagged(n=8), step=step, carry=carry)
