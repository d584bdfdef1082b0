from dataclasses import replace

import jax
import numpy as np
import pytest

from kalmanrnn.core.config import BudgetConfig
from kalmanrnn.tasks.batches import make_feed
from kalmanrnn.tasks.evaluation import judge_task
from kalmanrnn.tasks.fit import begin, updater
from kalmanrnn.tasks.model import fit_scales, make_model
from kalmanrnn.tasks.predict import outputs, outputs_ragged
from kalmanrnn.tasks.ragged import make_store, padding
from kalmanrnn.tasks.sampler import HELD_OUT, TRAINING, lengths_of, sequences
from kalmanrnn.tasks.task import load_task
from kalmanrnn.tasks.throughput import (
    alone,
    largest_difference,
    padded_in_front,
    peak_memory_gb,
    training_rates,
)

SMALL = {"shortest": 60, "longest": 400}
BUDGET = BudgetConfig(updates=30, batch=8, sequences=24, window=25, validation=8, test=16)


@pytest.fixture(scope="module")
def task():
    return replace(load_task("blocks", **SMALL), budget=BUDGET)


@pytest.fixture(scope="module")
def model(task):
    made = make_model(task, task.network, seed=0)
    some = sequences(task, 0, TRAINING, 16)
    return made._replace(scales=fit_scales(task, some.x, some.y))


@pytest.fixture(scope="module")
def store(task):
    return make_store(task, 0, HELD_OUT, BUDGET.test)


def test_a_block_follows_its_formulas(task):
    sample = task.draw(jax.random.key(0), 300)
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
    lengths = lengths_of(task, 0, TRAINING, task.budget.sequences)
    assert len(lengths) == 8000
    assert 800 <= lengths.min() < 810
    assert 29_500 < lengths.max() <= 30_000
    assert 0 < padding(lengths, task.budget.batch, task.budget.window) < 0.10


def test_side_by_side_equals_alone(task, model, store):
    flat = outputs_ragged(model, store, batch=8, window=25)
    every = range(len(store.lengths))
    # Sums of float32 numbers in another order; the bar is 1e-5.
    assert largest_difference(model, store, flat, list(every), 25) < 2e-6
    row = int(np.argmax(store.lengths))
    place = slice(store.starts[row], store.starts[row + 1])
    whole = outputs(model, store.x[place][None])[0]
    np.testing.assert_allclose(alone(model, store, row, 25), whole, atol=2e-6)


def test_a_leak_would_be_seen(task, model, store):
    flat = outputs_ragged(model, store, batch=8, window=25)
    leaky = outputs(model, store.x[None])[0]
    rows = list(range(1, len(store.lengths)))
    assert largest_difference(model, store, flat, rows, 25) < 2e-6
    # End to end, a block begins with what is left of the one before.
    assert largest_difference(model, store, leaky, rows, 25) > 1e-3


def test_padding_in_front_is_not_nothing(model, store):
    """Zeros are readings too: the memory is no longer empty where the sequence begins."""
    assert padded_in_front(model, store, [0, 1], 25) > 1e-3
    before, bare = alone(model, store, 0, 25, before=25), alone(model, store, 0, 25)
    assert before.shape == bare.shape
    assert np.abs(before - bare).argmax() < 25


def test_another_block_in_the_bucket_changes_nothing(task, model, store):
    before = outputs_ragged(model, store, batch=8, window=25)
    place = slice(store.starts[3], store.starts[4])
    x = store.x.copy()
    x[place] += 5.0
    after = outputs_ragged(model, store._replace(x=x), batch=8, window=25)
    others = np.ones(len(x), bool)
    others[place] = False
    np.testing.assert_array_equal(after[others], before[others])
    assert np.abs(after[place] - before[place]).max() > 0.01


def test_training_carries_memory_along_blocks_and_never_across(task, model):
    feed, update = make_feed(task, BUDGET), updater(model, BUDGET)
    state, fresh_at = begin(model, BUDGET), []
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


def test_side_by_side_trains_faster_and_rates_are_steps_over_seconds(model, store):
    one, many = training_rates(model, store, BUDGET, [1, 64], rounds=3)
    # 64 times the work in one update; far less than 64 times the time, even on a busy machine.
    assert many > 2 * one > 2000


def test_windows_longer_than_some_sequences_can_be_timed(model, store):
    for window in (int(np.median(store.lengths)), 10**4):
        budget = replace(BUDGET, window=window)
        (rate,) = training_rates(model, store, budget, [4], rounds=1)
        assert rate > 0


def test_the_judge_tells_all_that_is_promised(task, model):
    verdict = judge_task(model, BUDGET).verdict
    told = dict(verdict.rows)
    assert told["largest difference from running 8 fresh blocks alone"] <= 1e-5
    pace = [value for name, value in verdict.rows if name.startswith("steps per second")]
    assert verdict.value == pytest.approx(pace[0] / pace[1])
    assert 0.05 < told["most memory held [GB]"] < 64
    assert told["most memory held [GB]"] <= peak_memory_gb()
    ((_, sizes, rates),) = verdict.curves
    assert list(sizes) == [1, 8]
    assert len(rates) == 2
