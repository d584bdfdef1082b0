"""Check consistency: the initial belief, the teacher's NEES, the innovations' NIS.

Normalised squared errors have a mean of 1 per dimension (Bar-Shalom 2001, section 5.4). Their
chi-square interval uses as many independent samples as the spread between drives indicates, since
errors within a drive are correlated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.scenario.evidence import Evidence
from kalmanrnn.diagnostics.scenario.process_noise import check_process_noise
from kalmanrnn.evaluation.metrics import mahalanobis
from kalmanrnn.scenarios.scenario import Scenario

# False alarms: a sound scenario is tested a dozen times.
CHANCE = 1e-3
# Tolerated mismatch between the simulated truth and the filter's model.
MODEL_ALLOWANCE = 1.3
FAR = 2.0


class ConsistencyTest(NamedTuple):
    """A normalised squared error per dimension, and the interval expected for it."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} (expected {self.low:.2f} to {self.high:.2f})"


def consistency_test(squares: np.ndarray, dims: int) -> ConsistencyTest:
    """Test `[B, n]` values of e' P^-1 e with that many dimensions; NaN where there is none."""
    counts = np.sum(~np.isnan(squares), axis=1)
    kept = squares[counts > 0] / dims
    if not len(kept):
        return ConsistencyTest(np.nan, 0.0, np.inf)
    per_drive = np.nanmean(kept, axis=1)
    mean = float(per_drive.mean())
    spread = float(per_drive.var(ddof=1)) if len(kept) > 1 else np.inf
    independent = np.clip(2 * mean**2 / (dims * max(spread, 1e-300)), 1, counts.max())
    k = dims * len(kept) * independent
    low, high = (float(2 * gammaincinv(k / 2, p) / k) for p in (CHANCE / 2, 1 - CHANCE / 2))
    return ConsistencyTest(mean, low / MODEL_ALLOWANCE, high * MODEL_ALLOWANCE)


def check_consistency(scenario: Scenario, seen: Evidence) -> list[Finding]:
    """Check the initial belief, one tick of process noise, the UKF and its innovations."""
    first = check_initial_belief(scenario, seen)
    noise = check_process_noise(scenario, seen)
    if not (np.isfinite(seen.run.mean).all() and np.isfinite(seen.run.cov).all()):
        return [first, noise, _diverged(scenario, seen)]
    return [first, noise, check_teacher(scenario, seen), *check_innovations(scenario, seen)]


def check_initial_belief(scenario: Scenario, seen: Evidence) -> Finding:
    """Check that errors of the initial belief are as large as `initial_std` says."""
    cov = np.diag(np.square(scenario.initial_std))
    return _check_errors(
        scenario,
        "initial belief",
        seen.initial_error,
        np.broadcast_to(cov, (*seen.initial_error.shape, len(cov))),
        if_overconfident="raise initial_std of",
        if_conservative="lower initial_std of",
    )


def check_teacher(scenario: Scenario, seen: Evidence) -> Finding:
    """Check the UKF's NEES over the second half of each drive, and name the block at fault."""
    half = seen.error.shape[1] // 2
    return _check_errors(
        scenario,
        "teacher",
        seen.error[:, half:],
        np.asarray(seen.run.cov)[:, half:],
        if_overconfident="raise process_noise (or a sensor's sigma), or fix process, for",
        if_conservative="lower process_noise (or a sensor's sigma) of",
    )


def _check_errors(
    scenario: Scenario,
    name: str,
    errors: np.ndarray,
    cov: np.ndarray,
    *,
    if_overconfident: str,
    if_conservative: str,
) -> Finding:
    """Test errors `[B, n, D]` against covariances, as a whole and block by block."""
    space = scenario.space
    whole = consistency_test(mahalanobis(errors, cov), space.tangent_dim)
    parts = {}
    for block in space.blocks:
        at = space.tangent_slice(block.name)
        own = mahalanobis(errors[..., at], cov[..., at, at])
        parts[block.name] = consistency_test(own, block.tangent_size)
    over = {n: s for n, s in parts.items() if s.mean > s.high}
    under = {n: s for n, s in parts.items() if s.mean < s.low}
    measured = f"{len(errors)} drives, squared error / claimed variance per dimension {whole}"
    if not (over or under or not whole.low <= whole.mean <= whole.high):
        return Finding("ok", name, measured)
    far = whole.mean > FAR * whole.high or any(s.mean > FAR * s.high for s in over.values())
    worst = over or ({} if whole.mean > whole.high else under)
    if not worst:
        worst = {n: s for n, s in parts.items() if s.mean == max(p.mean for p in parts.values())}
    blocks = ", ".join(f"{n} {s}" for n, s in worst.items())
    overconfident = bool(over) or whole.mean > whole.high
    what = f"{'overconfident' if overconfident else 'conservative'}: {measured}; {blocks}"
    cure = if_overconfident if overconfident else if_conservative
    cure = f"{cure} {', '.join(worst)}"
    if overconfident and any(s.outlier for s in scenario.sensors):
        return Finding("warning", name, what + "; its sensors have outliers", cure=cure)
    return Finding("error" if far else "warning", name, what, cure=cure)


def check_innovations(scenario: Scenario, seen: Evidence) -> list[Finding]:
    """Check the UKF's NIS of each sensor over the second half of each drive."""
    findings, half = [], seen.error.shape[1] // 2
    for index, sensor in enumerate(scenario.sensors):
        at = np.flatnonzero(scenario.sensor_of == index)
        cov = np.asarray(seen.run.innovation_cov)[:, half:][..., at[:, None], at]
        squares = mahalanobis(np.asarray(seen.run.innovation)[:, half:][..., at], cov)
        squares = np.where(np.asarray(seen.drives.packets.seen)[:, half:, index], squares, np.nan)
        found, name = consistency_test(squares, sensor.size), f"innovations of {sensor.name}"
        if np.isnan(found.mean):
            findings.append(
                Finding("warning", name, "no readings", cure="check rate_hz and dropout")
            )
            continue
        measured = f"squared innovation / expected variance per dimension {found}"
        if found.low <= found.mean <= found.high:
            findings.append(Finding("ok", name, measured))
            continue
        how = "larger" if found.mean > found.high else "smaller"
        cure = f"compare sigma of {sensor.name} and process_noise with the simulated noise"
        if how == "larger" and sensor.outlier:
            cure = f"expected with outlier={sensor.outlier:g}: this filter does not reject outliers"
        findings.append(Finding("warning", name, f"{how} than expected: {measured}", cure=cure))
    return findings


def _diverged(scenario: Scenario, seen: Evidence) -> Finding:
    """Return where the UKF's estimates stopped being finite."""
    cov = np.isfinite(seen.run.cov).all(axis=(-2, -1))
    bad = np.asarray(~(np.isfinite(seen.run.mean).all(axis=-1) & cov))
    first = int(np.argmax(bad.any(axis=0)))
    return Finding(
        "error",
        "teacher",
        f"the UKF's estimate is not finite in {int(bad.any(axis=1).sum())} of {len(bad)} drives, "
        f"first {first / scenario.event_hz:.3g} s after the start",
        cure="its covariance is no longer positive definite: check process_noise and "
        "initial_std, and measure where the estimate is far off",
    )
