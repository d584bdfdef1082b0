from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.config import BudgetConfig, NetworkConfig, TaskConfig
from kalmanrnn.core.errors import INTERRUPTED, UserError
from kalmanrnn.models.recurrent import merge
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.batches import batch_indices, make_batches
from kalmanrnn.tasks.evaluation import TaskEvaluation, stateful_error
from kalmanrnn.tasks.fit import fit_task, init_state, make_update
from kalmanrnn.tasks.model import fit_scales, forward, initial_state, make_model, task_loss
from kalmanrnn.tasks.predict import predict_sequences, run_from
from kalmanrnn.tasks.report import is_target_reached, verdict_sentence
from kalmanrnn.tasks.sampler import TEST, TRAINING, VALIDATION, sample_sequences
from kalmanrnn.tasks.task import Metric, Sample, SequenceTask, TaskMetrics, load_task, unweighted
from kalmanrnn.tasks.validation import task_error, validation_result
from kalmanrnn.training.run_directory import create_run

KINDS = ("forecast", "step_value", "step_class", "sequence_value", "sequence_class")
SMALL = BudgetConfig(updates=40, batch=8, num_validations=4, validation=16, test=16, warmup=4)


def toy(kind, **options):
    """Sums of noise: over time, at the end, continued; or whether they are positive."""
    steps, ahead = 12, 3 if kind == "forecast" else 0

    def draw(key, steps):
        x = jax.random.normal(key, (steps + ahead, 2))
        total = jnp.cumsum(x[:, :1], axis=0) * 0.3
        labels = (total > 0).astype(jnp.float32) if "class" in kind else total
        y = {"forecast": labels[steps:], "step_value": labels, "step_class": labels}
        return unweighted(x[:steps], y.get(kind, labels[-1]))

    settings = {"network": NetworkConfig(hidden=12), "budget": SMALL, "metric": Metric("error")}
    settings |= options
    channels = (Channel("a", "m"), Channel("b", "m"))
    return SequenceTask(
        "toy", "Sums of noise", kind, channels, (Channel("sum", "m"),), draw, steps,
        horizon=ahead, **settings,
    )  # fmt: skip


def config_of(task):
    return TaskConfig("sine", (), task.network, task.budget)


def folder_of(tmp_path, name, task):
    return create_run(tmp_path / name, config_of(task), ["test"])


def arrays(tree):
    return [np.asarray(a) for a in jax.tree.leaves(tree)]


def fitted(task):
    model = make_model(task, task.network, seed=0)
    some = sample_sequences(task, 0, TRAINING, 64)
    return model._replace(scales=fit_scales(task, some.x, some.y))


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_can_be_overfitted(kind):
    budget = replace(SMALL, updates=600, learning_rate=3e-2, batch=4, sequences=4)
    task = toy(kind, network=NetworkConfig(hidden=32), budget=budget)
    model, feed = fitted(task), make_batches(task, budget)
    state, update, losses = init_state(model, budget), make_update(model, budget), []
    for step in range(budget.updates):
        state, loss = update(state, *feed(step))
        losses.append(float(loss))
    assert losses[-1] * 100 < losses[0]


def test_stop_and_resume_is_bit_for_bit(tmp_path):
    budget = replace(SMALL, window=5, sequences=24, optimiser="muon")
    task = toy("step_value", budget=budget)
    straight = fit_task(task, config_of(task), folder_of(tmp_path, "a", task), quiet=True)
    folder = folder_of(tmp_path, "b", task)
    with pytest.raises(UserError, match="after step 17") as caught:
        fit_task(task, config_of(task), folder, stop=lambda step: step == 17, quiet=True)
    assert caught.value.code == INTERRUPTED
    again = fit_task(task, config_of(task), folder, quiet=True)
    for a, b in zip(arrays(straight.model.params), arrays(again.model.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert straight.progress.score == again.progress.score < straight.progress.untrained_score


def test_the_best_checkpoint_is_kept(tmp_path):
    # A rate at which it falls apart after a while: the best is not the last.
    budget = replace(SMALL, updates=60, learning_rate=3.0, warmup=40, final_fraction=1.0,
                     clip=1e9, num_validations=20)  # fmt: skip
    task = toy("step_value", budget=budget)
    folder = folder_of(tmp_path, "a", task)
    trained = fit_task(task, config_of(task), folder, quiet=True)
    said = [r["score"] for r in folder.history() if "score" in r]
    validation = sample_sequences(task, 0, VALIDATION, budget.validation)
    kept = validation_result(
        trained.model, predict_sequences(trained.model, validation.x), validation
    ).score
    assert kept == pytest.approx(min([*said, trained.progress.untrained_score]), rel=1e-6)
    assert said[-1] > min([*said, trained.progress.untrained_score])


def test_streams_share_no_sequence_and_indices_name_sequences():
    task = toy("step_value")
    made = [sample_sequences(task, 0, stream, 32).x for stream in (TRAINING, VALIDATION, TEST)]
    flat = np.concatenate([np.asarray(x).reshape(32, -1) for x in made])
    assert len(np.unique(flat, axis=0)) == 96
    late = sample_sequences(task, 0, TRAINING, 4, first=7)
    np.testing.assert_array_equal(late.x, sample_sequences(task, 0, TRAINING, 11).x[7:])


def test_a_pass_sees_each_sequence_once_and_fresh_ones_never_return():
    budget = replace(SMALL, batch=6, sequences=24)
    turn = np.concatenate([batch_indices(budget, b) for b in range(4)])
    np.testing.assert_array_equal(np.sort(turn), np.arange(24))
    other = np.concatenate([batch_indices(budget, b) for b in range(4, 8)])
    np.testing.assert_array_equal(np.sort(other), np.arange(24))
    assert (turn != other).any()
    fresh = np.concatenate([batch_indices(SMALL, b) for b in range(50)])
    assert len(np.unique(fresh)) == 400


def test_windows_make_up_the_sequence():
    task = toy("step_value")
    whole, fresh = make_batches(task, SMALL)(0)
    assert fresh
    feed = make_batches(task, replace(SMALL, window=5))
    parts = [feed(update) for update in range(3)]
    assert [f for _, f in parts] == [True, False, False]
    for name in ("x", "y", "weight"):
        joined = jnp.concatenate([getattr(p, name) for p, _ in parts], axis=1)
        # 12 steps are two windows of 5 and 2 steps more; behind them nothing counts.
        np.testing.assert_array_equal(joined[:, :12], getattr(whole, name))
        assert not np.asarray(joined[:, 12:]).any()


@pytest.mark.parametrize("precompute", [False, True])
def test_precomputed_sequences_are_the_sampled_ones(precompute):
    budget = replace(SMALL, sequences=16)
    task = toy("sequence_value", budget=budget, precompute=precompute)
    sample, _ = make_batches(task, budget)(3)
    every = sample_sequences(task, 0, TRAINING, 16)
    np.testing.assert_allclose(sample.x, every.x[batch_indices(budget, 3)], rtol=1e-6)


def test_a_memory_carried_over_equals_the_long_sequence():
    task = toy("step_value", network=NetworkConfig(hidden=7, layers=2, skip=True))
    model = fitted(task)
    x = np.asarray(sample_sequences(task, 0, TEST, 4).x)
    memory, first = run_from(model, initial_state(model, 4), x[:, :5])
    _, second = run_from(model, memory, x[:, 5:])
    joined = np.concatenate([first, second], axis=1)
    # The two differ only in how XLA orders float32 sums.
    np.testing.assert_allclose(joined, predict_sequences(model, x), atol=2e-6)


def test_an_output_does_not_know_the_future():
    task = toy("step_class", network=NetworkConfig(hidden=7, layers=2))
    model = fitted(task)
    x = np.asarray(sample_sequences(task, 0, TEST, 3).x)
    changed = x.copy()
    changed[:, 8:] += 5.0
    before, after = predict_sequences(model, x), predict_sequences(model, changed)
    np.testing.assert_array_equal(before[:, :8], after[:, :8])
    assert np.abs(before[:, 8:] - after[:, 8:]).max() > 1e-3


def test_neighbours_in_a_batch_do_not_matter():
    task = toy("sequence_value")
    model = fitted(task)
    x = np.asarray(sample_sequences(task, 0, TEST, 5).x)
    together = predict_sequences(model, x)
    alone = np.concatenate([predict_sequences(model, x[i : i + 1]) for i in range(5)])
    # A batch of one sums in another order.
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(predict_sequences(model, x, batch=2), together, atol=2e-6)


def test_steps_of_no_weight_teach_nothing():
    task = toy("step_value")
    model = fitted(task)
    sample = sample_sequences(task, 0, TRAINING, 4)
    late = np.arange(sample.x.shape[1]) >= 7
    weight = np.where(late, 0.0, sample.weight)

    def gradient(sample):
        def loss(params):
            _, raw = forward(
                task, merge(model.graph, params), model.scales, initial_state(model, 4), sample.x
            )
            return task_loss(task, model.scales, raw, sample)

        return arrays(jax.grad(loss)(model.params))

    cut = gradient(Sample(sample.x, sample.y, weight))
    x, y = (np.where(late[:, None], *new) for new in ((3.0, sample.x), (9.0, sample.y)))
    other = gradient(Sample(x, y, weight))
    for a, b in zip(cut, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    assert any(np.abs(a).max() > 1e-4 for a in cut)


def test_scales_come_from_training_sequences_and_leave_classes_alone():
    values, classes = toy("step_value"), toy("step_class")
    some = sample_sequences(values, 0, TRAINING, 64)
    scales = fit_scales(values, some.x, some.y)
    flat = np.asarray(some.y).reshape(-1)
    np.testing.assert_allclose(scales.y_mean, flat.mean(), rtol=1e-5)
    np.testing.assert_allclose(scales.y_std, flat.std(), rtol=1e-5)
    kept = fit_scales(classes, some.x, some.y)
    assert (float(kept.y_mean[0]), float(kept.y_std[0])) == (0.0, 1.0)
    unscaled = fit_scales(toy("step_value", normalise=False), some.x, some.y)
    np.testing.assert_array_equal(unscaled.x_std, 1.0)


def test_errors_are_what_they_are_called():
    y = np.array([[[1.0], [2.0]], [[0.0], [4.0]]])
    sample = Sample(np.zeros((2, 2, 1)), y, np.array([[1.0, 1.0], [1.0, 0.0]]))
    off = y + np.array([[[1.0], [2.0]], [[3.0], [100.0]]])
    forecast = toy("forecast")
    assert task_error(forecast, off, sample) == pytest.approx((1 + 4 + 9 + 100**2) / 2)
    values = task_error(toy("step_value"), off, sample)
    assert values == pytest.approx(np.sqrt((1 + 4 + 9) / 3))
    classes = Sample(sample.x, (y > 1).astype(float), sample.weight)
    said = np.array([[[0.9], [0.8]], [[0.1], [0.1]]])
    assert task_error(toy("step_class"), said, classes) == pytest.approx(1 / 3)


def test_no_label_counts_more_for_its_unit_when_the_best_is_chosen():
    task = toy("sequence_value")
    model = fitted(task)
    sample = sample_sequences(task, 0, VALIDATION, 8)
    out = predict_sequences(model, sample.x)
    scales = model.scales._replace(y_std=1000 * model.scales.y_std)
    stretched = sample._replace(y=1000 * sample.y)
    score = validation_result(model, out, sample).score
    assert validation_result(
        model._replace(scales=scales), 1000 * out, stretched
    ).score == pytest.approx(score)


def test_a_target_is_not_reached_where_a_condition_breaks():
    task = toy(
        "step_value", metric=Metric("throughput", "times", target=20.0, higher_is_better=True)
    )
    for holds in (True, False):
        found = TaskEvaluation(TaskMetrics(30.0, conditions=(("outputs are the same", holds),)), ())
        assert is_target_reached(task, found) is holds
        assert ("not met: outputs are the same" in verdict_sentence(task, found)) is not holds
    assert is_target_reached(task, TaskEvaluation(TaskMetrics(10.0), ())) is False


def test_carried_memory_is_another_run_than_a_fresh_one():
    task = toy("step_class")
    model = fitted(task)
    sample = sample_sequences(task, 0, TEST, 4)
    _, out = stateful_error(model, sample)
    fresh = predict_sequences(model, sample.x)
    np.testing.assert_allclose(out[0], fresh[0], atol=2e-6)
    assert np.abs(out[1] - fresh[1]).max() > 1e-3
    # The carried run is one long sequence.
    whole = predict_sequences(model, sample.x.reshape(1, -1, 2))
    np.testing.assert_allclose(out.reshape(1, -1, 1), whole, atol=2e-6)


@pytest.mark.parametrize("name", ["sine", "sine_1hz", "burst"])
def test_shipped_tasks_load_and_say_what_they_are(name):
    task = load_task(name)
    assert task.name == name
    assert task.metric.target is not None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"horizon": 3}, "horizon"),
        ({"steps": 0}, "steps must be positive"),
        ({"network": NetworkConfig(bidirectional=True)}, "cannot be used"),
        ({"precompute": True}, "need budget.sequences"),
        ({"lengths": lambda rng, count: np.full(count, 5)}, "need budget.sequences"),
        ({"kind": "sequence_value", "lengths": lambda rng, count: np.full(count, 5)}, "per step"),
        (
            {
                "kind": "sequence_value",
                "network": NetworkConfig(recurrent_output=True, conv=((4, 3, 2),)),
            },
            "recurrent_output",
        ),
    ],
)
def test_contradictions_are_refused(options, why):
    task = toy("step_value")
    with pytest.raises(ValueError, match=why):
        replace(task, **options)


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("from kalmanrnn.tasks.task import Merit", "Metric"),
        ("from kalmanrnn.tasks.task import Verdict", "TaskMetrics"),
        ("from kalmanrnn.tasks.task import Metric\nMetric('error', bar=1.0)", "target"),
        ("from kalmanrnn.tasks.task import SequenceTask\nSequenceTask(draw=None)", "sample"),
        ("from kalmanrnn.tasks.task import SequenceTask\nSequenceTask(beside=())", "baselines"),
    ],
)
def test_an_old_name_in_a_task_file_is_refused_with_the_new_one(tmp_path, text, new):
    path = tmp_path / "mine.py"
    path.write_text(text + "\n")
    with pytest.raises(UserError) as error:
        load_task(path)
    assert f"is called `{new}` now" in error.value.why
    assert "mine.py" in error.value.cure
    assert len(str(error.value).splitlines()) == 3
