"""What doctor says of arrays alone: each fault is planted once, and healthy twins stay silent."""

import numpy as np
import pytest
import sequencemaking as making

from kalmanrnn.core.errors import UserError
from kalmanrnn.diagnostics.training import boundaries
from kalmanrnn.diagnostics.training.diagnosis import diagnose
from kalmanrnn.diagnostics.training.lags import check_window_for_lag
from kalmanrnn.diagnostics.training.sequences import MAX_SEQUENCES


def names(x, y, **more):
    return [f.name for f in diagnose(x, y, learn=False, **more).findings]


def finding(name, x, y, **more):
    found = [f for f in diagnose(x, y, learn=False, **more).findings if f.name == name]
    assert len(found) == 1, found
    return found[0]


def seeds(count):
    """Several draws; more than one takes long."""
    slow = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, count)]
    return pytest.mark.parametrize("seed", [0, *slow])


@seeds(4)
@pytest.mark.parametrize("make", making.HEALTHY, ids=lambda f: f.__name__)
def test_healthy_sequences_are_not_alarmed_about(make, seed):
    x, y = make(seed)
    held = make(seed + 100)
    assert names(x, y, validation=held) == []


@pytest.mark.parametrize("n", [1, 3, 12])
def test_few_sequences_are_not_alarmed_about(n):
    for make in (making.lagged, making.sines, making.walks, making.bent):
        assert names(*make(0, n, 160)) == [], make


def test_scales_a_thousandfold_apart_are_found():
    x, y = making.lagged()
    assert finding("scale", x * [1, 1000], y).evidence == pytest.approx(1000, rel=0.1)


def test_one_huge_column_is_found_and_three_units_are_not():
    x, y = making.sines()
    assert names(300 * x, y) == ["scale"]
    assert names(3 * x, y) == []


def test_fibonacci_grows():
    terms = [1.0, 1.0]
    while len(terms) < 60:
        terms.append(terms[-1] + terms[-2])
    scale = np.random.default_rng(0).uniform(1, 10, (32, 1, 1))
    x = scale * np.array(terms)[None, :, None]
    worst = diagnose(x[:, :-1], x[:, 1:], learn=False).findings[0]
    assert (worst.name, worst.level) == ("growth", "error")
    # Fifteen terms on a term is 1.618^15 = 1364 times as large, and quarters are 15 terms apart.
    assert worst.evidence > 1000
    logs = np.log(x[:, 1:] / x[:, :-1])
    logs = logs + 0.01 * np.random.default_rng(1).normal(size=logs.shape)
    assert "growth" not in names(logs[:, :-1], logs[:, 1:])


def test_absolute_positions_grow_and_speeds_do_not():
    rng = np.random.default_rng(0)
    speed = rng.uniform(-10, 10, (64, 1, 1)) + making.slow(0, 64, 60)
    position = np.cumsum(0.1 * speed, axis=1)
    assert "growth" in names(speed, position)
    assert "growth" not in names(speed, speed + 0.1 * rng.normal(size=speed.shape))


def test_growth_from_window_to_window_is_found():
    series = np.exp(np.arange(64 * 8) / 100)[:, None]
    x = series.reshape(64, 8, 1)
    assert "growth" in names(x, x[:, -1])


def test_one_outage_is_no_growth():
    x, y = making.filtered()
    x[:5, -8:] += 100.0
    assert "growth" not in names(x, y)


def test_constant_and_doubled_columns_are_found():
    x, y = making.lagged()
    still = np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)
    assert "column 2" in finding("constant", still, y).what
    twice = np.concatenate([x, 3 * x[..., :1] - 2], axis=-1)
    assert "columns 0 and 2" in finding("duplicate", twice, y).what
    assert finding("constant", x, np.ones_like(y)).level == "error"


def test_nan_is_found_and_the_rest_still_looked_at():
    x, y = making.lagged()
    x[3, 7, 1] = np.nan
    assert "1 values" in finding("nan", x, y).what
    assert names(x * [1, 1000], y) == ["nan", "scale"]
    assert names(np.full_like(x, np.nan), y) == ["nan"]


def test_time_and_feature_swapped_is_found():
    x = np.concatenate([making.slow(k, 64, 50, memory=0.98) for k in range(3)], axis=-1)
    x += np.array([0.0, 4.0, -4.0])
    y = x[..., :1]
    assert names(np.swapaxes(x, 1, 2), y) == ["axes"]
    assert "axes" in names(np.swapaxes(x, 1, 2), y[:, -1])
    assert "axes" not in names(x, y)


def test_one_nan_does_not_hide_swapped_axes():
    x = np.concatenate([making.slow(k, 64, 50, memory=0.98) for k in range(3)], axis=-1)
    swapped = np.swapaxes(x + np.array([0.0, 4.0, -4.0]), 1, 2).copy()
    swapped[3, 1, 1] = np.nan
    assert set(names(swapped, x[:, -1, :1])) == {"nan", "axes"}


def test_validation_nan_is_told_apart():
    x, y = making.lagged()
    held = x[:5].copy(), y[:5] + 1.0
    held[0][0, 0, 0] = np.nan
    assert "validation" in finding("nan", x, y, validation=held).what


def test_samples_and_time_swapped_is_found():
    x, y = making.sines(n=64, steps=60)
    assert names(np.swapaxes(x, 0, 1), np.swapaxes(y, 0, 1))[0] == "axes"


def test_validation_sequences_that_were_trained_on_are_found():
    x, y = making.lagged()
    assert finding("leak", x, y, validation=(x[5:9], y[5:9])).evidence == 1.0
    overlapping = np.concatenate([x[0, 20:], x[1, :20]])[None]
    assert "leak" in names(x, y, validation=(overlapping, y[:1]))
    assert "leak" not in names(x, y, validation=making.lagged(7))


def test_zeros_and_labels_in_both_are_no_leak():
    x, y = making.bursts()
    quiet = np.zeros_like(x[:4])
    assert "leak" not in names(x, y, validation=(quiet, y[:4]))


@seeds(3)
def test_targets_one_step_ahead_or_behind_are_found(seed):
    x, y = making.lagged(seed, lag=3)
    x, y = x[:, :, 1:], x[:, :, 1:] ** 1 + 0.1 * y
    ahead = finding("off by one", x[:, :-1], y[:, 1:])
    assert (ahead.level, "ahead" in ahead.what) == ("error", True)
    behind = finding("off by one", x[:, 1:], y[:, :-1])
    assert (behind.level, "behind" in behind.what) == ("warning", True)
    assert names(x, y) == []


@seeds(3)
def test_an_offset_that_inputs_do_not_tell_asks_for_feedback(seed):
    x, y = making.walks(seed, feedback=False)
    found = finding("feedback", x, y)
    assert "output feedback on" in found.cure
    assert "window" not in names(x, y)
    # From a known start the window tells the level: all its increments are there.
    assert "feedback" not in names(x, y - (y - x)[:, :1])


@seeds(3)
def test_state_carried_into_another_sequence_is_found(seed):
    for make in (making.bursts, making.filtered, making.walks):
        assert names(*make(seed), stateful=True) == ["carry"], make
    x, y = making.windows(seed)
    assert names(x, y, stateful=True) == []


@seeds(3)
def test_state_reset_inside_a_series_is_found(seed):
    x, y = making.windows(seed)
    assert finding("carry", x, y).evidence > 0.05
    # The same windows in random order do not continue each other, and nothing is lost.
    order = np.random.default_rng(seed).permutation(len(x))
    assert "carry" not in names(x[order], y[order])


def test_joins_of_long_sequences_are_looked_at_where_they_are():
    """Longer than what is looked at: a join is between a last step and a first one."""
    x, y = making.windows(0, n=24, steps=700)
    assert "carry" not in names(x, y, stateful=True)
    assert "carry" in names(*making.bursts(0, n=24, steps=700), stateful=True)
    # The past that a reset loses is the end of the sequence before, not its beginning.
    assert finding("carry", *making.windows(0, n=24, steps=700, lag=100)).evidence > 0.2


def test_a_bounded_number_of_sequences_is_looked_at(monkeypatch):
    seen = []
    monkeypatch.setattr(boundaries, "check_carry", lambda data, stateful: seen.append(data) or [])
    diagnose(*making.lagged(n=MAX_SEQUENCES + 300), learn=False)
    assert len(seen[0].inputs) == MAX_SEQUENCES


def test_a_sum_from_a_known_start_needs_no_feedback_however_long():
    x = np.random.default_rng(0).normal(size=(40, 900, 1))
    y = np.cumsum(x, axis=1) / 30
    assert "feedback" not in names(x, y)
    assert "feedback" not in names(x[:3], y[:3])


def test_back_to_back_windows_that_need_no_past_are_healthy():
    x = making.slow(0, 1, 160 * 24)[0].reshape(160, 24, 1)
    y = x + 0.1 * np.random.default_rng(1).normal(size=x.shape)
    assert names(x, y) == []


def test_windows_shorter_than_the_lag_that_matters_are_found():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 130, 1))
    kernel = np.ones(60) / np.sqrt(60)
    y = np.apply_along_axis(lambda a: np.convolve(a, kernel)[:130], 1, x[..., 0])[..., None]
    y += 0.2 * rng.normal(size=y.shape)
    assert "window" in names(x[:, 70:100], y[:, 70:100])
    assert "window" not in names(x, y)


def test_the_lag_curve_ends_where_the_task_does():
    for lag in (3, 9, 17):
        x, y = making.lagged(lag=lag)
        needed = diagnose(x, y, learn=False).lags.needed
        # The curve is measured at a few lags: it may end one of them late, never early.
        assert lag <= needed <= 1.4 * lag + 1


@seeds(3)
def test_one_answer_behind_very_many_steps_is_found(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 1600, 1))
    bumps = rng.normal(size=(300, 2))
    x[:, 200:400] += bumps[:, None, :1]
    x[:, 700:900] += bumps[:, None, 1:]
    y = bumps + 0.1 * rng.normal(size=bumps.shape)
    found = finding("length", x, y)
    assert (found.level, found.evidence > 0.5) == ("warning", True)
    # What counts at the end is no trouble, however long the sequences are; short ones neither.
    assert names(x, x[:, -20:].mean(axis=1)) == []
    assert names(x[:, 400:900], y[:, 1:]) == []


def test_windows_of_training_shorter_than_the_last_lag_are_found():
    x, y = making.lagged(lag=9)
    curve = diagnose(x, y, learn=False).lags
    (found,) = check_window_for_lag("--window", 4, curve, "kalmanrnn train --sim mine")
    assert found.evidence == pytest.approx(4 / curve.needed)
    assert found.command.endswith(f"--window {2 * curve.needed}")
    assert check_window_for_lag("--window", 40, curve, "") == []
    assert check_window_for_lag("--window", 0, curve, "") == []


def test_worst_comes_first():
    x, y = making.walks(feedback=False)
    x = np.concatenate([x, np.ones_like(x), 1000 * x**2], axis=-1)
    found = diagnose(x, y, learn=False).findings
    levels = [f.level for f in found]
    assert levels == sorted(levels)
    assert {"feedback", "constant", "scale"} <= {f.name for f in found}
    assert all(np.isfinite(f.evidence) and f.cure for f in found)


def test_targets_outside_a_given_range_are_found():
    x, y = making.lagged()
    assert finding("range", x, y, output_range=(-1, 1)).evidence > 0.2
    assert names(*making.sines(), output_range=(-1, 1)) == []


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros((4, 5)), np.zeros((4, 1)), "inputs have 2 axes"),
        (np.zeros((4, 5, 2)), np.zeros(4), "targets have 1 axes"),
        (np.zeros((4, 5, 2)), np.zeros((3, 1)), "4 sequences of inputs but 3"),
        (np.zeros((4, 5, 2)), np.zeros((4, 6, 1)), "5 steps of inputs but 6"),
        (np.zeros((0, 5, 2)), np.zeros((0, 1)), "they are empty"),
        (np.full((4, 5, 2), "a"), np.zeros((4, 1)), "inputs are not numbers"),
        ([[[1.0], [1.0, 2.0]]], np.zeros((1, 1)), "inputs are not numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(x, y, said):
    with pytest.raises(UserError, match=said):
        diagnose(x, y)
