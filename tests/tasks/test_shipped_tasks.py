from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.errors import UserError
from kalmanrnn.scenarios.catalogue import find_sim
from kalmanrnn.scenarios.loading import run_file
from kalmanrnn.tasks.batches import make_batches
from kalmanrnn.tasks.evaluation import evaluate_model
from kalmanrnn.tasks.fit import init_state, make_update
from kalmanrnn.tasks.model import fit_scales, make_model
from kalmanrnn.tasks.predict import predict_sequences
from kalmanrnn.tasks.ragged import sample_ragged
from kalmanrnn.tasks.sampler import TEST, TRAINING, sample_sequences, stream_key
from kalmanrnn.tasks.task import TaskMetrics, load_task


def file_of(name):
    return run_file(find_sim(name))


def learnt(task, updates, **budget):
    """Learn a little, without a folder: a model and the losses."""
    budget = replace(task.budget, updates=updates, warmup=min(20, updates // 4), **budget)
    task = replace(task, budget=budget)
    feed = make_batches(task, budget)
    model = make_model(task, task.network, seed=0)
    some = sample_sequences(task, 0, TRAINING, 16)
    model = model._replace(scales=fit_scales(task, some.x, some.y))
    state, update, losses = init_state(model, budget), make_update(model, budget), []
    for step in range(updates):
        state, loss = update(state, *feed(step))
        losses.append(float(loss))
    return model._replace(params=state.params), losses


def few(verdict, word):
    return next(value for name, value in verdict.rows if word in name)


# fibonacci


def test_each_term_is_the_sum_of_the_two_before():
    file = file_of("fibonacci")
    np.testing.assert_array_equal(
        file.exact_terms(np.ones((1, 2)), 10)[0], [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    )
    sample = file.make(variant="raw").sample(jax.random.key(3), 30)
    x, y = np.asarray(sample.x)[:, 0], np.asarray(sample.y)[:, 0]
    np.testing.assert_array_equal(x[1:], y[:-1])
    # Sums of float32 numbers are right to one part in 2^23.
    np.testing.assert_allclose(x[2:], x[1:-1] + x[:-2], rtol=2e-7)
    ratios = file.make().sample(jax.random.key(3), 20)
    np.testing.assert_allclose(np.exp(ratios.y[:20, 0]), x[2:22] / x[1:21], rtol=1e-5)


def test_a_perfect_rule_on_ratios_would_roll_out_without_error(monkeypatch):
    file = file_of("fibonacci")
    task = file.make()
    # log(1 + exp(-d)) is what follows d; float32 rounding adds up over 20 terms.
    monkeypatch.setattr(file, "initial_state", lambda model, count: ())
    monkeypatch.setattr(file, "run_from", lambda model, memory, x: (memory, np.log1p(np.exp(-x))))
    true = file.exact_terms(np.array([[1.0, 1.0], [9.0, 1.5]]), 70)
    said = file.rollout(make_model(task, task.network, seed=0), true[:, :50], 20, raw=False)
    np.testing.assert_allclose(said, true[:, 50:], rtol=3e-6)


def test_ratios_extrapolate_and_raw_numbers_do_not():
    small = {"updates": 300, "batch": 32, "test": 50}
    ratios, _ = learnt(load_task("fibonacci"), **small)
    raw, losses = learnt(load_task("fibonacci", ["variant=raw"]), **small)
    good = evaluate_model(ratios, ratios.task.budget).metrics
    bad = evaluate_model(raw, raw.task.budget).metrics
    # A tenth of the default's updates: a hundredth on 20 terms; raw ones are off by themselves.
    assert good.value < 2e-2
    assert bad.value > 0.9
    assert min(losses) > 1e17
    assert few(bad, "mean squared error") > 1e17


# bones


def test_nothing_decides_better_than_the_posterior():
    file = file_of("bones")
    task = file.make()
    sample = sample_sequences(task, 0, TEST, 20_000)
    x, heals = np.asarray(sample.x, np.float64)[..., 0], np.asarray(sample.y)[:, 0] > 0.5
    p = file.posterior(x)
    best = np.mean((p > 0.5) == heals)
    # The standard error of a difference between two such decisions is below 0.003.
    for threshold in (0.3, 0.4, 0.6, 0.7):
        assert np.mean((p > threshold) == heals) < best + 0.003
    slope = x[:, 2] - x[:, 0]
    for threshold in np.linspace(slope.min(), slope.max(), 50):
        assert np.mean((slope > threshold) == heals) < best + 0.003
    # What it says of its own accuracy comes true: it is calibrated.
    assert abs(np.maximum(p, 1 - p).mean() - best) < 0.01
    assert best > np.mean(~heals) + 0.05


def test_posterior_chances_come_true():
    file = file_of("bones")
    sample = sample_sequences(file.make(), 1, TEST, 20_000)
    p = file.posterior(np.asarray(sample.x)[..., 0])
    heals = np.asarray(sample.y)[:, 0]
    for low in np.arange(0.0, 1.0, 0.2):
        inside = (p >= low) & (p < low + 0.2)
        if inside.sum() > 500:
            # Four standard errors of a share of 500.
            assert abs(p[inside].mean() - heals[inside].mean()) < 4 * (0.25 / inside.sum()) ** 0.5


# window


def test_mackey_glass_keeps_its_equation():
    file = file_of("window")
    x = np.asarray(file.integrate(jnp.float32(0.9), 6000), np.float64)
    t = np.arange(3000, 5990)
    rate = (x[t + 1] - x[t - 1]) / (2 * file.STEP)
    delayed = x[t - file.BACK]
    # Central differences of float32 values: rounding 1e-7 over a step of 0.2, curvature 1e-4.
    wanted = 0.2 * delayed / (1 + delayed**10) - 0.1 * x[t]
    np.testing.assert_allclose(rate, wanted, atol=2e-4)
    assert 0.2 < x[3000:].std() < 0.26


def test_forecasts_beside_are_what_they_are_called():
    file = file_of("window")
    x = np.arange(20.0)[None]
    np.testing.assert_array_equal(file.seasonal(x, 3, 7)[0], [17, 18, 19, 17, 18, 19, 17])
    rng = np.random.default_rng(0)
    a, w = rng.normal(size=(200, 5)), rng.normal(size=(6, 3))
    y = np.c_[a, np.ones(200)] @ w
    np.testing.assert_allclose(file.regression(a, y), w, atol=1e-10)


# panel


def test_a_shop_does_not_know_its_neighbours_nor_its_future():
    task = load_task("panel")
    model = make_model(task, replace(task.network, hidden=8), seed=0)
    x = np.array(sample_sequences(task, 0, TRAINING, 4).x)[:, :60]
    before = predict_sequences(model, x)
    other = x.copy()
    other[1:] = x[1:] + 3.0
    np.testing.assert_array_equal(predict_sequences(model, other)[0], before[0])
    later = x.copy()
    later[:, 40:] += 3.0
    after = predict_sequences(model, later)
    np.testing.assert_array_equal(after[:, :40], before[:, :40])
    assert np.abs(after[:, 40:] - before[:, 40:]).max() > 1e-3


def test_yesterdays_value_is_yesterdays_value():
    store = sample_ragged(load_task("panel"), 0, TEST, 6)
    assert len(set(store.lengths)) > 1
    for a, b in zip(store.starts[:-1], store.starts[1:], strict=True):
        np.testing.assert_array_equal(store.x[a + 1 : b, -1], store.y[a : b - 1, 0])
        assert store.x[a, -1] == 0


def test_a_ridge_looks_back_only_and_finds_a_linear_law():
    file = file_of("panel")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    wide = file.lagged(x, 4)
    np.testing.assert_array_equal(wide[10, 3:6], x[9])
    np.testing.assert_array_equal(wide[10, 9:], x[7])
    y = 2.0 + x[:, 0] + 0.5 * np.r_[0, 0, x[:-2, 1]]
    said = file.ridge_forecast(x, y, 280, 4)
    # The smallest penalty, 0.1 on 280 days, takes less than a thousandth off each weight.
    np.testing.assert_allclose(said[280:], y[280:], atol=5e-3)
    x[300:], y[300:] = 0.0, 0.0
    np.testing.assert_array_equal(file.ridge_forecast(x, y, 280, 4)[:300], said[:300])


# spectra


def test_lines_answer_to_their_labels_and_brightness_says_nothing():
    file = file_of("spectra")

    def flux(t, g, m):
        return np.asarray(file.flux(jnp.array([t, g, m]), 7000), np.float64)

    usual = flux(5500, 3, 0)
    # Metals deepen: with log strength, never shallower anywhere; a hot star is bluer.
    assert (flux(5500, 3, -1) >= usual - 1e-6).all()
    blue = [flux(t, 3, -1.5)[:500].max() / flux(t, 3, -1.5)[-500:].max() for t in (4000, 7000)]
    assert blue[1] > 2 * blue[0]
    hydrogen = round(float(file.lines().centre[0]) * 6999)
    wing = slice(hydrogen - 60, hydrogen + 60)
    assert flux(6800, 5, -1.5)[wing].mean() < flux(6800, 1, -1.5)[wing].mean()
    sample = sample_sequences(load_task("spectra"), 0, TRAINING, 64)
    brightness = np.asarray(sample.x).mean(axis=(1, 2))
    assert np.abs(np.corrcoef(brightness, np.asarray(sample.y).T)[0, 1:]).max() < 0.45


def test_spectra_are_made_by_number_and_none_is_kept():
    task = load_task("spectra", ["count=50000", "points=700"])
    feed = make_batches(task, task.budget)
    held = [cell.cell_contents for cell in feed.__closure__]
    assert not any(np.size(a) > 1e5 for tree in held for a in jax.tree.leaves(tree))
    first, last = feed(0)[0], feed(999)[0]
    assert first.x.shape == (50, 700, 1)
    # 50,000 in batches of 50: 1,000 updates until one returns.
    seen = {tuple(y) for step in (0, 1, 500, 999) for y in np.asarray(feed(step)[0].y).tolist()}
    assert len(seen) == 200
    np.testing.assert_array_equal(feed(0)[0].x, first.x)
    assert not np.array_equal(last.x, first.x)


@pytest.mark.slow
def test_strides_learn_spectra_and_the_plain_lstm_does_not():
    small = {"updates": 60, "batch": 16, "sequences": 200, "test": 50}
    conv, falling = learnt(load_task("spectra"), **small)
    small["updates"] = 40
    plain, flat = learnt(load_task("spectra", ["variant=plain", "points=1000"]), **small)
    # Labels have spread 1: a loss of 1 is that of saying their mean.
    assert np.mean(falling[-10:]) < 0.6
    assert np.mean(flat[-10:]) > 0.8
    assert conv.task.network.bidirectional
    assert plain.task.network.conv == ()


# what all of them share


@pytest.mark.parametrize(
    ("name", "setting", "why"),
    [
        ("fibonacci", "variant=logs", "ratios or raw"),
        ("spectra", "variant=lstm", "conv or plain"),
        ("bones", "months=1", "months must be 2"),
        ("window", "every=0", "1 or more"),
        ("panel", "lags=0", "lags must be 1"),
        ("blocks", "shortest=0", "0 < shortest <= longest"),
    ],
)
def test_settings_that_cannot_be_are_refused(name, setting, why):
    with pytest.raises(UserError) as error:
        load_task(name, [setting])
    assert why in str(error.value.why)
    assert setting in error.value.cure


def test_an_evaluation_sees_the_budget_it_is_made_with():
    seen = []

    def evaluate(model, key):
        seen.append((model.task.budget.seed, model.task.budget.test, key))
        return TaskMetrics(0.0)

    task = replace(load_task("bones"), evaluate=evaluate)
    model = make_model(task, task.network, seed=0)
    budget = replace(task.budget, seed=5, test=7)
    evaluate_model(model, budget)
    assert seen[0][:2] == (5, 7)
    assert seen[0][2] == stream_key(5, TEST)
