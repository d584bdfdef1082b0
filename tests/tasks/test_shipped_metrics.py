"""Each shipped task's own evaluation, on an untrained network: it runs, and it fails."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.tasks.evaluation import evaluate_model
from kalmanrnn.tasks.model import fit_scales, make_model
from kalmanrnn.tasks.sampler import (
    PROBES,
    TEST,
    TRAINING,
    make_sampler,
    sample_sequences,
    stream_key,
)
from kalmanrnn.tasks.task import load_task


def untrained(name, *settings, **budget):
    task = load_task(name, settings)
    task = replace(task, budget=replace(task.budget, **budget))
    some = sample_sequences(task, 0, TRAINING, 16)
    model = make_model(task, task.network, seed=0)
    return model._replace(scales=fit_scales(task, some.x, some.y))


@pytest.mark.parametrize(
    ("name", "settings", "row"),
    [
        ("bones", (), "accuracy of the best possible decision [%]"),
        pytest.param(
            "window", (), "root mean square error, linear regression", marks=pytest.mark.slow
        ),
        ("burst", (), "its own five training sequences"),
        ("burst", ("variant=carried_elman",), "each sequence with an empty memory"),
        ("burst", ("variant=carried_lstm",), "each sequence with an empty memory"),
        ("burst", ("variant=carried_gru",), "each sequence with an empty memory"),
        ("sine", (), None),
        ("sine_1hz", (), None),
    ],
)
def test_an_untrained_network_misses_the_target(name, settings, row):
    model = untrained(name, *settings, test=64)
    evaluation = evaluate_model(model, model.task.budget)
    assert np.isfinite(evaluation.metrics.value)
    assert model.task.metric.is_reached(evaluation.metrics.value) is False
    assert row is None or np.isfinite(dict(evaluation.metrics.rows)[row])


def test_sines_go_on_as_they_began():
    """A sine keeps x[t+1] + x[t-1] = 2 cos(w) x[t], across the border of input and forecast."""
    for name, low, high in (("sine", 0.5, 4.0), ("sine_1hz", 1.0, 1.0)):
        task = load_task(name)
        sample = sample_sequences(task, 0, TEST, 64)
        whole = np.concatenate([sample.x, sample.y], axis=1)[..., 0].astype(float)
        assert whole.shape[1] == task.steps + task.horizon
        middle, outer = whole[:, 1:-1], whole[:, 2:] + whole[:, :-2]
        cosine = (middle * outer).sum(axis=1) / (2 * (middle**2).sum(axis=1))
        np.testing.assert_allclose(outer, 2 * cosine[:, None] * middle, atol=2e-5)
        hertz = np.arccos(cosine) * 100 / (2 * np.pi)
        assert hertz.min() > 0.97 * low
        assert hertz.max() < 1.03 * high


def test_probes_are_sines_of_their_own_frequency():
    task = load_task("sine_1hz")
    assert len(task.probes) == 2
    for at, name in enumerate(task.probes):
        draw = make_sampler(task.probes[name], task.steps)
        x = np.asarray(draw(stream_key(0, PROBES), jnp.arange(32)).x)[..., 0]
        crossings = (np.diff(np.sign(x), axis=1) != 0).sum(axis=1)
        # One second: two crossings for each of 2 or 3 periods.
        assert np.abs(crossings - 2 * (at + 2)).max() <= 1


def test_a_burst_is_half_a_sine_and_its_label_falls_at_its_end():
    task = load_task("burst")
    sample = sample_sequences(task, 0, TEST, 200)
    x, y = sample.x[..., 0], sample.y[..., 0]
    assert x.shape == (200, 130)
    assert ((x > 0).sum(axis=1) == 10).all()
    begins, ends = (x > 0).argmax(axis=1), 130 - (x > 0)[:, ::-1].argmax(axis=1)
    assert begins.max() < 50
    np.testing.assert_array_equal(y, np.arange(130) < ends[:, None])
