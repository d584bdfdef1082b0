import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks import ragged
from kalmanrnn.tasks.batches import locate, make_batches
from kalmanrnn.tasks.fit import init_state, make_update
from kalmanrnn.tasks.model import make_model
from kalmanrnn.tasks.predict import predict_ragged, predict_sequences
from kalmanrnn.tasks.sampler import TRAINING, sample_lengths
from kalmanrnn.tasks.task import Metric, SequenceTask, unweighted
from kalmanrnn.tasks.validation import as_sample

COUNT, WINDOW, BATCH = 23, 7, 5
BUDGET = BudgetConfig(updates=10, batch=BATCH, sequences=COUNT, window=WINDOW)


def draw(key, steps):
    # Noise by step, so that a sequence drawn longer begins as the shorter one does.
    keys = jax.vmap(lambda t: jax.random.fold_in(key, t))(jnp.arange(steps))
    x = jax.vmap(lambda k: jax.random.normal(k, (2,)))(keys)
    return unweighted(x, jnp.cumsum(x[:, :1], axis=0))


TASK = SequenceTask(
    name="walk",
    summary="Sums of noise, of unequal length",
    kind="step_value",
    inputs=(Channel("a", ""), Channel("b", "")),
    labels=(Channel("sum", ""),),
    sample=draw,
    steps=40,
    lengths=lambda rng, count: rng.integers(4, 41, count),
    network=NetworkConfig(hidden=6),
    budget=BUDGET,
    metric=Metric("error"),
)


@pytest.fixture(scope="module")
def store():
    return ragged.sample_ragged(TASK, 0, TRAINING, COUNT, batch=8)


def test_a_store_holds_each_sequence_to_its_length(store):
    np.testing.assert_array_equal(store.lengths, sample_lengths(TASK, 0, TRAINING, COUNT))
    for i in range(COUNT):
        part = slice(store.starts[i], store.starts[i + 1])
        np.testing.assert_allclose(
            np.cumsum(store.x[part, :1], axis=0), store.y[part], rtol=1e-5, atol=1e-5
        )


def test_a_store_keeps_the_weights_that_were_drawn():
    def half(key, steps):
        return draw(key, steps)._replace(weight=(jnp.arange(steps) % 2).astype(jnp.float32))

    made = ragged.sample_ragged(replace(TASK, sample=half), 0, TRAINING, COUNT, batch=8)
    part = ragged.cut_window(made, np.arange(2), 0, 4, 2)
    np.testing.assert_array_equal(part.weight, [[0, 1, 0, 1]] * 2)
    assert as_sample(made).weight.sum() == (made.lengths // 2).sum()


def test_fewer_sequences_than_a_batch_are_a_smaller_batch():
    budget = replace(BUDGET, batch=50)
    feed, model = make_batches(TASK, budget), make_model(TASK, TASK.network, seed=0)
    state, update = init_state(model, budget), make_update(model, budget)
    for step in range(3):
        sample, fresh = feed(step)
        assert len(sample.x) == COUNT
        state, loss = update(state, sample, fresh)
    assert np.isfinite(loss)


def test_windows_cover_every_step_once(store):
    flat = np.zeros_like(store.y)
    counted = 0.0
    for rows, at, part in ragged.iterate_windows(store, BATCH, WINDOW):
        assert part.x.shape == (BATCH, WINDOW, 2)
        counted += part.weight.sum()
        once = np.zeros_like(flat)
        ragged.scatter(store, rows, at, part.y, once)
        assert not (flat * once).any()
        flat += once
    assert counted == store.lengths.sum()
    np.testing.assert_array_equal(flat, store.y)


def test_padding_is_counted_and_small_where_buckets_are_alike():
    lengths = np.random.default_rng(0).integers(800, 30_000, 2000)
    computed = 0
    for rows in ragged.make_buckets(lengths, 64):
        computed += 64 * 200 * ragged.count_windows(lengths, rows, 200)
    assert ragged.padding_share(lengths, 64, 200) == pytest.approx(1 - lengths.sum() / computed)
    assert 0 <= ragged.padding_share(lengths, 64, 200) < 0.1
    shuffled = [np.arange(i, i + 64) for i in range(0, 1984, 64)]
    naive = sum(64 * 200 * ragged.count_windows(lengths, rows, 200) for rows in shuffled)
    assert 1 - lengths[:1984].sum() / naive > 0.3


def test_a_bucket_gives_what_each_sequence_gives_alone(store):
    model = make_model(TASK, TASK.network, seed=0)
    together = predict_ragged(model, store, batch=BATCH, window=WINDOW)
    for i in range(COUNT):
        part = slice(store.starts[i], store.starts[i + 1])
        alone = predict_sequences(model, store.x[part][None])[0]
        # The two differ only in how XLA orders float32 sums.
        np.testing.assert_allclose(together[part], alone, atol=2e-6)


def test_a_pass_goes_through_every_window_of_every_bucket_in_order(store):
    groups = ragged.make_buckets(store.lengths, BATCH)
    counts = [ragged.count_windows(store.lengths, rows, WINDOW) for rows in groups]
    total = sum(counts)
    spots = [locate(store, groups, WINDOW, 0, update) for update in range(2 * total)]
    for turn in (0, 1):
        there = [(s.bucket, s.window) for s in spots if s.epoch == turn]
        assert sorted(there) == [(b, w) for b, n in enumerate(counts) for w in range(n)]
        for (bucket, window), (after, behind) in itertools.pairwise(there):
            # Windows follow one another, or the next bucket begins at its first.
            assert (after, behind) == (bucket, window + 1) or behind == 0
    assert [s.bucket for s in spots[:total]] != [s.bucket for s in spots[total:]]


def test_the_feed_starts_fresh_where_a_bucket_begins():
    feed = make_batches(TASK, BUDGET)
    fresh = [feed(update)[1] for update in range(30)]
    first, _ = feed(0)
    again, _ = feed(0)
    np.testing.assert_array_equal(first.x, again.x)
    assert fresh[0]
    assert 1 < sum(fresh) < 30
