"""filterpy's filters on the manifold, one drive at a time, float64: what ours must equal.

The only importer of filterpy, whose state is the tangent vector at a reference state kept here:
after each step the mean moves into the reference and the tangent vector is reset to zero.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from filterpy.kalman import (
    ExtendedKalmanFilter,
    MerweScaledSigmaPoints,
    UnscentedKalmanFilter,
)

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.filters.ukf import ALPHA, BETA, KAPPA
from kalmanrnn.scenarios.scenario import Scenario

JITTER = 1e-9


class FilterpyRun(NamedTuple):
    """filterpy's estimates over a drive: `FilterEstimate`'s arrays with `[E]` in front.

    failures: how often a Cholesky factorisation needed jitter.
    """

    mean: np.ndarray
    cov: np.ndarray
    prior: np.ndarray
    innovation: np.ndarray
    innovation_cov: np.ndarray
    gain: np.ndarray
    failures: int


class Models(NamedTuple):
    """A scenario's models on tangent vectors at a state x, compiled.

    process: (x, tangents `[n, D]`, u, dt) -> f(x), tangents there `[n, D]`, Q `[D, D]`.
    process_jacobian: (x, u, dt) -> f(x), F `[D, D]`, Q.
    measure: (x, tangents, z) -> readings minus h(x) `[n, Z]`, innovation `[Z]`.
    measurement_jacobian: (x, z) -> H `[Z, D]`, innovation.
    retract: (x, tangent) -> state.
    """

    process: Any
    process_jacobian: Any
    measure: Any
    measurement_jacobian: Any
    retract: Any


@lru_cache(maxsize=8)
def _models(scenario: Scenario) -> Models:
    space = scenario.space

    def process_tangent(x, d, u, dt):
        after = scenario.process(x, u, dt)
        return space.difference(scenario.process(space.retract(x, d), u, dt), after)

    def measure_tangent(x, d):
        return scenario.innovation(scenario.measure(space.retract(x, d)), scenario.measure(x))

    def jacobian(function, x, *rest):
        return jax.jacfwd(lambda d: function(x, d, *rest))(jnp.zeros(space.tangent_dim))

    def process(x, d, u, dt):
        tangents = jax.vmap(lambda d: process_tangent(x, d, u, dt))(d)
        return scenario.process(x, u, dt), tangents, scenario.noise_matrix(x, u, dt)

    def process_jacobian(x, u, dt):
        f = jacobian(process_tangent, x, u, dt)
        return scenario.process(x, u, dt), f, scenario.noise_matrix(x, u, dt)

    def measure(x, d, z):
        readings = jax.vmap(lambda d: measure_tangent(x, d))(d)
        return readings, scenario.innovation(z, scenario.measure(x))

    def measurement_jacobian(x, z):
        return jacobian(measure_tangent, x), scenario.innovation(z, scenario.measure(x))

    functions = (process, process_jacobian, measure, measurement_jacobian, space.retract)
    return Models(*map(_in_numpy, functions))


def _in_numpy(function):
    """Compile for float64 on the CPU, numpy in and out."""
    compiled = jax.jit(function)

    def call(*args):
        with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
            return jax.tree.map(np.asarray, compiled(*args))

    return call


def filterpy_ukf(scenario: Scenario, drive: Drive) -> FilterpyRun:
    """Run filterpy's UnscentedKalmanFilter over one drive."""
    models, d = _models(scenario), scenario.space.tangent_dim
    root, failures = _robust_cholesky()
    points = MerweScaledSigmaPoints(d, ALPHA, BETA, KAPPA, sqrt_method=root)
    kf = UnscentedKalmanFilter(d, scenario.sigma.size, 1.0, hx=None, fx=None, points=points)
    zero = np.zeros(d)

    def predict(x, u, dt):
        centre, images, kf.Q = models.process(x, points.sigma_points(zero, kf.P), u, dt)
        rest = iter(images)
        kf.predict(fx=lambda point, dt: next(rest))
        return centre

    def update(x, z, rows, noise):
        # Redraw sigma points around zero: the reference has moved since predict drew them.
        kf.sigmas_f = points.sigma_points(zero, kf.P)
        readings, innovation = models.measure(x, kf.sigmas_f, z)
        rest = iter(readings[:, rows])
        kf.update(innovation[rows], R=noise, hx=lambda point: next(rest))

    return _run(scenario, drive, kf, predict, update, failures)


def filterpy_ekf(scenario: Scenario, drive: Drive) -> FilterpyRun:
    """Run filterpy's ExtendedKalmanFilter over one drive."""
    models, d = _models(scenario), scenario.space.tangent_dim
    kf = ExtendedKalmanFilter(d, scenario.sigma.size)

    def predict(x, u, dt):
        after, kf.F, kf.Q = models.process_jacobian(x, u, dt)
        kf.predict()
        return after

    def update(x, z, rows, noise):
        h, innovation = models.measurement_jacobian(x, z)
        # A column state with a flat measurement would silently become (n, n): keep all flat.
        kf.update(innovation[rows], lambda _: h[rows], lambda _: np.zeros(rows.sum()), R=noise)

    return _run(scenario, drive, kf, predict, update, [])


def _run(scenario, drive, kf, predict, update, failures) -> FilterpyRun:
    """Step a filterpy filter through events and ticks, moving its reference state along."""
    retract, d = _models(scenario).retract, scenario.space.tangent_dim
    x, kf.P = (np.array(a, float) for a in drive.belief)
    kf.x = np.zeros(d)
    steps = []
    for packet in _each(drive.packets):
        rows = scenario.mask(packet.seen)
        prior = x
        if rows.any():
            update(x, packet.z, rows, np.diag(scenario.sigma[rows] ** 2))
            x, kf.x = retract(x, kf.x), np.zeros(d)
        steps.append((x, kf.P.copy(), prior, *_expand(kf, rows)))
        for u, dt in zip(packet.u, packet.dt, strict=True):
            if dt > 0:
                x = retract(predict(x, u, dt), kf.x)
                kf.x = np.zeros(d)
    return FilterpyRun(*(np.stack(a) for a in zip(*steps, strict=True)), failures=len(failures))


def _expand(kf, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expand innovation, its covariance and gain from the seen rows to all `[Z]`."""
    innovation, cov = np.zeros(rows.size), np.eye(rows.size)
    gain = np.zeros((kf.P.shape[0], rows.size))
    if rows.any():
        innovation[rows], cov[np.ix_(rows, rows)], gain[:, rows] = kf.y, kf.S, kf.K
    return innovation, cov, gain


def _each(packets: Packet):
    arrays = [np.asarray(a) for a in packets]
    return (Packet(*parts) for parts in zip(*arrays, strict=True))


def _robust_cholesky():
    """Return a function for upper Cholesky factors that never fails, and the list of failures."""
    failures: list[float] = []

    def root(a: np.ndarray) -> np.ndarray:
        a = 0.5 * (a + a.T)
        for jitter in (0.0, JITTER, 1e3 * JITTER, 1e6 * JITTER):
            try:
                return np.linalg.cholesky(a + jitter * np.diag(np.abs(np.diag(a)))).T
            except np.linalg.LinAlgError:
                failures.append(jitter)
        return np.diag(np.sqrt(np.abs(np.diag(a))))

    return root, failures


def relative_difference(scenario: Scenario, ours: Any, theirs: Any) -> float:
    """Return the largest difference of mean and covariance, in units of the belief's sigma."""
    sigma = np.sqrt(np.diagonal(theirs.cov, axis1=-2, axis2=-1))
    with jax.enable_x64(True):
        apart = jax.vmap(scenario.space.difference)(
            jnp.asarray(ours.mean), jnp.asarray(theirs.mean)
        )
    mean = np.abs(np.asarray(apart)) / sigma
    cov = np.abs(np.asarray(ours.cov) - theirs.cov) / (sigma[:, :, None] * sigma[:, None, :])
    # NaN counts as the largest difference.
    return float(np.nan_to_num(np.maximum(mean.max(), cov.max()), nan=np.inf))


REFERENCES = {"ekf": filterpy_ekf, "ukf": filterpy_ukf}


def largest_difference(
    scenario: Scenario,
    drives: Drive,
    estimates: FilterEstimate,
    *,
    kind: str,
    segments: int = 4,
    events: int | None = None,
    seed: int = 0,
) -> float:
    """Recompute segments of a batched run with filterpy; return the largest difference.

    The first segment starts with a drive, the others at a random event, from the batched
    filter's belief there. events: length of a segment, by default about 150 ticks.
    """
    rng = random_stream(seed, Stream.FILTERPY_CHECK)
    batch, total, ticks = np.shape(drives.packets.dt)
    length = min(total, events or max(2, -(-150 // ticks) + 1))
    worst = 0.0
    for segment in range(segments):
        b = int(rng.integers(batch))
        start = 0 if segment == 0 else int(rng.integers(total - length + 1))
        own = jax.tree.map(lambda a, b=b, s=start: np.asarray(a[b])[s : s + length], estimates)
        part = _segment(drives, own, b, start, length)
        worst = max(worst, relative_difference(scenario, own, REFERENCES[kind](scenario, part)))
    return worst


def _segment(drives: Drive, own: FilterEstimate, b: int, start: int, events: int) -> Drive:
    packets = jax.tree.map(lambda a: np.array(a[b, start : start + events]), drives.packets)
    belief = Belief(*(np.asarray(a[b]) for a in drives.belief))
    if start > 0:
        # Start from the belief after the first event, whose measurements are used up.
        belief = Belief(own.mean[0], own.cov[0])
        packets.seen[0] = False
    return Drive(np.asarray(drives.t[b])[start : start + events], packets, belief, None)
