"""Laws of the figures in a report, on errors whose answer is known."""

import numpy as np
import pytest

from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.evaluation import metrics

SPACE = StateSpace(
    (Block("attitude", "rotation", unit="deg"), Block("position", unit="m"), Block("bias", size=2))
)
GROUPS = {g.name: g for g in metrics.state_groups(SPACE, horizontal="position")}
EVERYWHERE = np.ones((1, 1, 8), bool)


def size_of(name, error, known=EVERYWHERE):
    return metrics.error_norms(GROUPS[name], np.asarray(error, float)[None, None], known)[0, 0]


def test_groups_are_in_reading_order():
    assert list(GROUPS) == ["position", "position_2d", "attitude", "bias"]


def test_norms_are_in_the_groups_unit():
    error = [0, 0, np.pi / 180, 3, 4, 12, 0, 2]
    assert size_of("attitude", error) == pytest.approx(1.0)
    assert size_of("position", error) == pytest.approx(13.0)
    assert size_of("position_2d", error) == pytest.approx(5.0)
    assert size_of("bias", error) == pytest.approx(2.0)


def test_a_lost_estimate_is_infinite_and_an_unknown_truth_is_left_out():
    error = np.zeros(8)
    error[3] = np.nan
    assert size_of("position", error) == np.inf
    unknown = EVERYWHERE.copy()
    unknown[..., 3] = False
    assert np.isnan(size_of("position", error, unknown))
    assert size_of("attitude", error, unknown) == 0.0


def test_rmse_and_percentiles_of_known_errors():
    got = metrics.summarise_errors(np.array([[3.0, 4.0], [np.nan, 5.0]]))
    assert got.rmse == pytest.approx(np.sqrt(50 / 3))
    assert (got.median, got.max) == (4.0, 5.0)
    many = metrics.summarise_errors(np.arange(1, 101, dtype=float))
    assert (many.median, many.p95, many.max) == (50.0, 95.0, 100.0)
    assert metrics.summarise_errors(np.array([1.0, np.inf])).rmse == np.inf


def test_divergence_is_a_last_error_beyond_twenty_teachers_or_not_finite():
    teacher = np.ones((4, 10))
    student = np.ones((4, 10))
    student[0, 3] = 1000.0  # came back
    student[1, -1] = 19.0
    student[2, -2:] = [21.0, np.nan]  # the last known error counts
    student[3, 5] = np.inf
    assert metrics.diverged(student, teacher).tolist() == [False, False, True, True]


def test_imitation_ratio_of_an_added_independent_error():
    """student = teacher + independent error: accuracy^2 = 1 + imitation^2."""
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(64, 4000))
    added = 0.3 * rng.normal(size=(64, 4000))
    under = metrics.mean_square(teacher)
    imitation = metrics.rmse_ratio(metrics.mean_square(added), under, seed=0)
    accuracy = metrics.rmse_ratio(metrics.mean_square(teacher + added), under, seed=0)
    # 256,000 samples: both ratios are known to about 1/500.
    assert imitation.value == pytest.approx(0.3, abs=3e-3)
    assert accuracy.value**2 == pytest.approx(1 + imitation.value**2, abs=6e-3)
    assert accuracy.low < np.sqrt(1.09) < accuracy.high


def test_bootstrap_contains_the_truth_as_often_as_it_says():
    """Drives differ twentyfold in difficulty; the paired interval does not mind."""
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(100):
        hard = np.exp(rng.normal(size=48))
        under = hard * rng.chisquare(50, 48) / 50
        over = 1.21 * hard * rng.chisquare(50, 48) / 50
        got = metrics.rmse_ratio(over, under, seed=trial)
        hits += got.low <= 1.1 <= got.high
    # 95 of 100 expected, standard deviation 2.2; a bootstrap of 48 drives is a little short.
    assert 86 <= hits <= 100


def test_bootstrap_is_reproducible_by_seed_and_paired():
    rng = np.random.default_rng(2)
    under = rng.chisquare(3, 32)
    over = 4.0 * under
    assert metrics.rmse_ratio(over, under, seed=3) == metrics.rmse_ratio(over, under, seed=3)
    assert metrics.rmse_ratio(over, under, seed=3) == pytest.approx((2.0, 2.0, 2.0))
    other = rng.chisquare(3, 32)
    assert metrics.rmse_ratio(other, under, seed=3) != metrics.rmse_ratio(other, under, seed=4)


def test_one_drive_has_no_interval():
    got = metrics.rmse_ratio(np.array([4.0]), np.array([1.0]), seed=0)
    assert got.value == 2.0
    assert np.isnan([got.low, got.high]).all()


def test_nees_of_samples_from_the_covariance_is_inside_its_band():
    """95 % of the means over 32 drives lie in the band; units may differ by 1e8."""
    rng = np.random.default_rng(0)
    root = np.tril(rng.normal(size=(5, 5))) + 2 * np.eye(5)
    root = np.diag([1e-4, 1e-2, 1.0, 1e2, 1e4]) @ root
    errors = rng.normal(size=(32, 2000, 5)) @ root.T
    cov = np.broadcast_to(root @ root.T, (32, 2000, 5, 5))
    nees = metrics.mahalanobis(errors, cov).mean(axis=0) / 5
    low, high = metrics.chi_square_band(5, 32)
    # 2000 events: the share is known to half a per cent.
    assert np.mean((nees > low) & (nees < high)) == pytest.approx(0.95, abs=0.02)
    assert nees.mean() == pytest.approx(1.0, abs=0.01)


def test_nees_has_no_answer_without_a_covariance():
    cov = np.stack([np.eye(2), np.zeros((2, 2)), np.full((2, 2), np.nan)])
    got = metrics.mahalanobis(np.full((3, 2), 2.0), cov)
    assert got[0] == pytest.approx(8.0)
    assert np.isnan(got[1:]).all()


def test_chi_square_band_is_the_tables():
    # chi-square with 10 degrees of freedom: 3.247 and 20.483.
    assert np.multiply(metrics.chi_square_band(2, 5), 10) == pytest.approx(
        [3.247, 20.483], abs=1e-3
    )
