from dataclasses import replace

import jax
import numpy as np
import pytest

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.tasks.batches import make_batches
from kalmanrnn.tasks.evaluation import evaluate_model
from kalmanrnn.tasks.fit import init_state, make_update
from kalmanrnn.tasks.model import fit_scales, make_model
from kalmanrnn.tasks.predict import predict_ragged, predict_sequences
from kalmanrnn.tasks.ragged import padding_share, sample_ragged
from kalmanrnn.tasks.sampler import TEST, TRAINING, sample_lengths, sample_sequences
from kalmanrnn.tasks.task import load_task
from kalmanrnn.tasks.throughput import (
    front_padding_difference,
    max_difference,
    peak_memory_gb,
    run_single,
    training_throughput,
)

SMALL = {"shortest": 60, "longest": 400}
BUDGET = BudgetConfig(updates=30, batch=8, sequences=24, window=25, validation=8, test=16)


@pytest.fixture(scope="module")
def task():
    return replace(load_task("blocks", **SMALL), budget=BUDGET)


@pytest.fixture(scope="module")
def model(task):
    made = make_model(task, task.network, seed=0)
    some = sample_sequences(task, 0, TRAINING, 16)
    return made._replace(scales=fit_scales(task, some.x, some.y))


@pytest.fixture(scope="module")
def data(task):
    return sample_ragged(task, 0, TEST, BUDGET.test)


def test_a_block_follows_its_formulas(task):
    sample = task.sample(jax.random.key(0), 300)
    u, y = np.asarray(sample.x, np.float64)[:, 0], np.asarray(sample.y, np.float64)[:, 0]
    fast = slow = 0.0
    wanted = []
    for now in u:
        fast = 0.80 * fast + 0.20 * np.tanh(now)
        slow = 0.95 * slow + 0.05 * fast**2
        wanted.append(fast + slow)
    noise = y - wanted
    # 300 draws of a spread of 0.02: within a fifth.
    assert abs(noise.std() / 0.02 - 1) < 0.2
    assert np.abs(noise).max() < 0.1


def test_the_defaults_pad_less_than_a_tenth():
    task = load_task("blocks")
    lengths = sample_lengths(task, 0, TRAINING, task.budget.sequences)
    assert len(lengths) == 8000
    assert 800 <= lengths.min() < 810
    assert 29_500 < lengths.max() <= 30_000
    assert 0 < padding_share(lengths, task.budget.batch, task.budget.window) < 0.10


def test_side_by_side_equals_alone(task, model, data):
    flat = predict_ragged(model, data, batch=8, window=25)
    every = range(len(data.lengths))
    # Sums of float32 numbers in another order; the bar is 1e-5.
    assert max_difference(model, data, flat, list(every), 25) < 2e-6
    row = int(np.argmax(data.lengths))
    place = slice(data.starts[row], data.starts[row + 1])
    whole = predict_sequences(model, data.x[place][None])[0]
    np.testing.assert_allclose(run_single(model, data, row, 25), whole, atol=2e-6)


def test_a_leak_would_be_seen(task, model, data):
    flat = predict_ragged(model, data, batch=8, window=25)
    leaky = predict_sequences(model, data.x[None])[0]
    rows = list(range(1, len(data.lengths)))
    assert max_difference(model, data, flat, rows, 25) < 2e-6
    # End to end, a block begins with what is left of the one before.
    assert max_difference(model, data, leaky, rows, 25) > 1e-3


def test_padding_in_front_is_not_nothing(model, data):
    """Zeros are readings too: the memory is no longer empty where the sequence begins."""
    assert front_padding_difference(model, data, [0, 1], 25) > 1e-3
    before, bare = run_single(model, data, 0, 25, before=25), run_single(model, data, 0, 25)
    assert before.shape == bare.shape
    assert np.abs(before - bare).argmax() < 25


def test_another_block_in_the_bucket_changes_nothing(task, model, data):
    before = predict_ragged(model, data, batch=8, window=25)
    place = slice(data.starts[3], data.starts[4])
    x = data.x.copy()
    x[place] += 5.0
    after = predict_ragged(model, data._replace(x=x), batch=8, window=25)
    others = np.ones(len(x), bool)
    others[place] = False
    np.testing.assert_array_equal(after[others], before[others])
    assert np.abs(after[place] - before[place]).max() > 0.01


def test_training_carries_memory_along_blocks_and_never_across(task, model):
    feed, update = make_batches(task, BUDGET), make_update(model, BUDGET)
    state, fresh_at = init_state(model, BUDGET), []
    dirty = jax.tree.map(lambda a: a + 7.0, state.memory)
    for step in range(40):
        sample, fresh = feed(step)
        clean, _ = update(state, sample, fresh)
        other, _ = update(state._replace(memory=dirty), sample, fresh)
        same = all(
            np.array_equal(a, b)
            for a, b in zip(
                jax.tree.leaves(clean.params), jax.tree.leaves(other.params), strict=True
            )
        )
        # What the memory held before matters inside a block, and not where one begins.
        assert same == fresh
        fresh_at.append(fresh)
        state = clean
    assert 1 < sum(fresh_at) < 40


def test_side_by_side_trains_faster_and_rates_are_steps_over_seconds(model, data):
    one, many = training_throughput(model, data, BUDGET, [1, 64], rounds=3)
    # 64 times the work in one update; far less than 64 times the time, even on a busy machine.
    assert many > 2 * one > 2000


def test_windows_longer_than_some_sequences_can_be_timed(model, data):
    for window in (int(np.median(data.lengths)), SMALL["longest"] + 100):
        budget = replace(BUDGET, window=window)
        (rate,) = training_throughput(model, data, budget, [4], rounds=1)
        assert rate > 0


def test_the_evaluation_has_all_that_is_promised(task, model):
    verdict = evaluate_model(model, BUDGET).metrics
    told = dict(verdict.rows)
    assert told["largest difference from running 8 fresh blocks alone"] <= 1e-5
    pace = [value for name, value in verdict.rows if name.startswith("steps per second")]
    assert verdict.value == pytest.approx(pace[0] / pace[1])
    assert 0.05 < told["peak memory [GB]"] < 64
    assert told["peak memory [GB]"] <= peak_memory_gb()
    ((_, sizes, rates),) = verdict.curves
    assert list(sizes) == [1, 8]
    assert len(rates) == 2
