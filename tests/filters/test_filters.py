"""The laws of the filters: equal to filterpy, consistent, causal, deaf to what was not seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from scipy.stats import chi2

from kalmanrnn.core.datatypes import Packet
from kalmanrnn.filters.filterpy_reference import (
    REFERENCES,
    largest_difference,
    relative_difference,
)
from kalmanrnn.filters.kinds import FILTERS

KINDS = pytest.mark.parametrize("kind", ["ekf", "ukf"])

# In units of the filter's own sigma; rounding, carried along a drive, gives up to 1e-12.
EQUAL = 1e-9


def one(batch, index=0):
    return jax.tree.map(lambda a: a[index], batch)


def nees(scenario, drives, run):
    """Normalised estimation error squared `[B, E]`."""
    with jax.enable_x64(True):
        error = jax.jit(jax.vmap(jax.vmap(scenario.space.difference)))(drives.truth, run.mean)
    error = np.asarray(error)
    return np.einsum("bed,bed->be", error, np.linalg.solve(run.cov, error[..., None])[..., 0])


@KINDS
@pytest.mark.parametrize(
    "sim",
    [
        ("rover", "dropout=0.3"),
        ("lorenz", "dropout=0.3", "observation=spherical", "r_db=-20"),
        pytest.param(("imu_gps", "dropout=0.3", "lever_arm_m=1,0,1"), marks=pytest.mark.slow),
    ],
    ids=lambda sim: sim[0],
)
def test_equal_to_filterpy_over_a_whole_drive(kind, sim, scenario, drives, filtered):
    d = drives(*sim, count=4, seconds=10.0)
    run = one(filtered(kind, *sim, drives=d))
    theirs = REFERENCES[kind](scenario(*sim), one(d))
    assert theirs.failures == 0
    assert relative_difference(scenario(*sim), run, theirs) < EQUAL
    for name in ("prior", "innovation", "innovation_cov", "gain"):
        np.testing.assert_allclose(getattr(run, name), getattr(theirs, name), rtol=0, atol=1e-9)


@KINDS
def test_segments_find_a_wrong_filter(kind, scenario, drives, filtered):
    sim = ("rover", "dropout=0.3")
    s, d = scenario(*sim), drives(*sim, count=4, seconds=10.0)
    run = filtered(kind, *sim, drives=d)
    assert largest_difference(s, d, run, kind=kind, segments=3) < EQUAL
    # A thousandth of every gain lost is far above what training accepts (1e-6).
    wrong = run._replace(mean=run.mean + 1e-3 * (run.mean - run.prior))
    assert largest_difference(s, d, wrong, kind=kind, segments=3) > 1e-5
    broken = run._replace(cov=np.full_like(run.cov, np.nan))
    assert largest_difference(s, d, broken, kind=kind, segments=1) == np.inf


def test_linear_equals_the_textbook_filter(drives, filtered):
    sim = ("linear", "dropout=0.3")
    d = drives(*sim, count=4, seconds=10.0)
    first, dt = one(d), 0.1
    kf = KalmanFilter(4, 2)
    kf.x, kf.P = first.belief.mean.copy(), first.belief.cov.copy()
    kf.F, kf.H = np.eye(4) + dt * np.eye(4, k=2), np.eye(2, 4)
    white = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    kf.R, kf.Q = np.eye(2), 0.5**2 * np.kron(white, np.eye(2))
    means, covs = [], []
    for z, seen in zip(first.packets.z, first.packets.seen[:, 0], strict=True):
        if seen:
            kf.update(z)
        means.append(kf.x.copy())
        covs.append(kf.P.copy())
        kf.predict()
    for kind in ("ekf", "ukf"):
        run = one(filtered(kind, *sim, drives=d))
        np.testing.assert_allclose(run.mean, means, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(run.cov, covs, rtol=1e-9, atol=1e-9)


@KINDS
def test_linear_is_consistent(kind, scenario, drives, filtered):
    d = drives("linear", count=64, seconds=20.0)
    e = nees(scenario("linear"), d, filtered(kind, "linear", drives=d))
    # Errors of one drive are alike over time, those of 64 drives are not: each event alone is
    # a mean of 64 draws, and 95 % of them lie in their band.
    low, high = chi2.ppf([0.025, 0.975], 64 * 4) / 64
    assert low < e[:, -1].mean() < high
    inside = np.mean((low < e.mean(axis=0)) & (e.mean(axis=0) < high))
    assert inside > 0.85


@KINDS
@pytest.mark.parametrize(
    ("name", "seconds"),
    [("rover", 20.0), ("lorenz", 20.0), pytest.param("imu_gps", 30.0, marks=pytest.mark.slow)],
)
def test_consistent_after_convergence(kind, name, seconds, scenario, drives, filtered):
    # 64 drives of 3 dimensions or more, at one event: the mean's standard error is 10 % or less.
    d = drives(name, count=64, seconds=seconds)
    e = nees(scenario(name), d, filtered(kind, name, drives=d))
    per_dimension = e[:, e.shape[1] // 4 :].mean() / scenario(name).space.tangent_dim
    print(f"{name} {kind}: NEES per dimension {per_dimension:.3f}, allowed 0.8 to 1.3")
    assert 0.8 < per_dimension < 1.3


@KINDS
def test_step_by_step_equals_scan(kind, scenario, drives, filtered):
    sim = ("rover", "dropout=0.3")
    d = drives(*sim, count=4, seconds=10.0)
    run, estimator = one(filtered(kind, *sim, drives=d)), FILTERS[kind](scenario(*sim))
    with jax.enable_x64(True):
        step, carry = jax.jit(estimator.step), estimator.init(one(d).belief)
        for event in range(20):
            carry, estimate = step(carry, one(one(d).packets, event))
            # The batched program rounds in another order.
            np.testing.assert_allclose(estimate.mean, run.mean[event], rtol=0, atol=1e-11)
            np.testing.assert_allclose(estimate.cov, run.cov[event], rtol=0, atol=1e-11)


@KINDS
def test_the_past_does_not_know_the_future(kind, drives, filtered):
    sim = ("rover", "dropout=0.3")
    d = drives(*sim, count=4, seconds=10.0)
    z, u = d.packets.z.copy(), d.packets.u.copy()
    z[:, 50:], u[:, 50:] = 99.0, 7.0
    run = filtered(kind, *sim, drives=d)
    other = filtered(kind, *sim, drives=d._replace(packets=d.packets._replace(z=z, u=u)))
    np.testing.assert_array_equal(run.mean[:, :50], other.mean[:, :50])
    np.testing.assert_array_equal(run.cov[:, :50], other.cov[:, :50])
    assert np.abs(run.mean[:, 51] - other.mean[:, 51]).max() > 0.01


@KINDS
def test_padding_ticks_change_nothing(kind, drives, filtered):
    sim = ("rover", "dropout=0.3")
    d = drives(*sim, count=4, seconds=10.0)
    u = np.pad(d.packets.u, ((0, 0), (0, 0), (0, 3), (0, 0)), constant_values=5.0)
    dt = np.pad(d.packets.dt, ((0, 0), (0, 0), (0, 3)))
    run = filtered(kind, *sim, drives=d)
    padded = filtered(kind, *sim, drives=d._replace(packets=d.packets._replace(u=u, dt=dt)))
    # The same sums in another program: a last digit, carried over a hundred events.
    np.testing.assert_allclose(padded.mean, run.mean, rtol=0, atol=1e-11)
    np.testing.assert_allclose(padded.cov, run.cov, rtol=0, atol=1e-11)


@KINDS
def test_what_is_not_seen_is_not_heard(kind, drives, filtered):
    sim = ("rover", "dropout=0.3")
    d = drives(*sim, count=4, seconds=10.0)
    hidden = ~d.packets.seen[..., [0, 1, 1]]
    loud = d.packets._replace(z=np.where(hidden, 1e6, d.packets.z))
    run, same = (filtered(kind, *sim, drives=d._replace(packets=p)) for p in (d.packets, loud))
    np.testing.assert_array_equal(run.mean, same.mean)
    np.testing.assert_array_equal(run.cov, same.cov)


@KINDS
def test_an_event_without_any_measurement_is_a_prediction(kind, scenario, drives):
    s, d = scenario("rover"), one(drives("rover", count=64, seconds=20.0))
    with jax.enable_x64(True):
        packet = Packet(*(jnp.asarray(a) for a in one(d.packets, 0)))
        packet = packet._replace(seen=jnp.zeros(2, bool))
        _, estimate = jax.jit(FILTERS[kind](s).step)(d.belief, packet)
    np.testing.assert_allclose(estimate.mean, d.belief.mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(estimate.cov, d.belief.cov, rtol=1e-12)
    assert not np.asarray(estimate.gain).any()
