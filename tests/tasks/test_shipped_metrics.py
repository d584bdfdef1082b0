"""Each shipped task's own judge, on a network that has learnt nothing: it runs, and it fails."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.tasks.evaluation import judge_task
from kalmanrnn.tasks.model import fit_scales, make_model
from kalmanrnn.tasks.sampler import HELD_OUT, PROBES, TRAINING, drawer, sequences, stream_key
from kalmanrnn.tasks.task import load_task


def untaught(name, *settings, **budget):
    task = load_task(name, settings)
    task = replace(task, budget=replace(task.budget, **budget))
    some = sequences(task, 0, TRAINING, 16)
    model = make_model(task, task.network, seed=0)
    return model._replace(scales=fit_scales(task, some.x, some.y))


@pytest.mark.parametrize(
    ("name", "settings", "beside"),
    [
        ("bones", (), "accuracy of the best decision there is [%]"),
        ("window", (), "root mean square error, linear regression"),
        ("burst", (), "its own five training sequences"),
        ("burst", ("variant=carried_elman",), "each sequence with an empty memory"),
        ("burst", ("variant=carried_lstm",), "each sequence with an empty memory"),
        ("burst", ("variant=carried_gru",), "each sequence with an empty memory"),
        ("sine", (), None),
        ("sine_1hz", (), None),
    ],
)
def test_a_judge_fails_who_has_learnt_nothing(name, settings, beside):
    model = untaught(name, *settings, held_out=64)
    judged = judge_task(model, model.task.budget)
    assert np.isfinite(judged.verdict.value)
    assert model.task.merit.holds(judged.verdict.value) is False
    assert beside is None or np.isfinite(dict(judged.verdict.rows)[beside])


def test_sines_go_on_as_they_began():
    """A sine keeps x[t+1] + x[t-1] = 2 cos(w) x[t], across the border of input and forecast."""
    for name, low, high in (("sine", 0.5, 4.0), ("sine_1hz", 1.0, 1.0)):
        task = load_task(name)
        sample = sequences(task, 0, HELD_OUT, 64)
        whole = np.concatenate([sample.x, sample.y], axis=1)[..., 0].astype(float)
        assert whole.shape[1] == task.steps + task.ahead
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
        draw = drawer(task.probes[name], task.steps)
        x = np.asarray(draw(stream_key(0, PROBES), jnp.arange(32)).x)[..., 0]
        crossings = (np.diff(np.sign(x), axis=1) != 0).sum(axis=1)
        # One second: two crossings for each of 2 or 3 periods.
        assert np.abs(crossings - 2 * (at + 2)).max() <= 1


def test_a_burst_is_half_a_sine_and_its_label_falls_at_its_end():
    task = load_task("burst")
    sample = sequences(task, 0, HELD_OUT, 200)
    x, y = sample.x[..., 0], sample.y[..., 0]
    assert x.shape == (200, 130)
    assert ((x > 0).sum(axis=1) == 10).all()
    begins, ends = (x > 0).argmax(axis=1), 130 - (x > 0)[:, ::-1].argmax(axis=1)
    assert begins.max() < 50
    np.testing.assert_array_equal(y, np.arange(130) < ends[:, None])
