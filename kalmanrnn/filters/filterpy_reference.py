"""filterpy's own filters on the manifold, one drive at a time, float64: what ours must equal.

The only importer of filterpy. Its state is the tangent vector at a reference state kept outside:
after each step the reference takes the mean over and the tangent goes back to zero.
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
from kalmanrnn.filters.ekf import FilterEstimate
from kalmanrnn.filters.ukf import ALPHA, BETA, KAPPA
from kalmanrnn.scenarios.scenario import Scenario

JITTER = 1e-9


class FilterpyRun(NamedTuple):
    """What filterpy says over a drive: `FilterEstimate`'s arrays with `[E]` in front.

    failures: how often a Cholesky factor needed jitter.
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

    move: (x, tangents `[n, D]`, u, dt) -> f(x), tangents there `[n, D]`, Q `[D, D]`.
    move_slope: (x, u, dt) -> f(x), F `[D, D]`, Q.
    read: (x, tangents, z) -> readings less h(x) `[n, Z]`, innovation `[Z]`.
    read_slope: (x, z) -> H `[Z, D]`, innovation.
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

    def moved(x, d, u, dt):
        after = scenario.process(x, u, dt)
        return space.difference(scenario.process(space.retract(x, d), u, dt), after)

    def seen_from(x, d):
        return scenario.innovation(scenario.measure(space.retract(x, d)), scenario.measure(x))

    def slope(function, x, *rest):
        return jax.jacfwd(lambda d: function(x, d, *rest))(jnp.zeros(space.tangent_dim))

    def move(x, d, u, dt):
        tangents = jax.vmap(lambda d: moved(x, d, u, dt))(d)
        return scenario.process(x, u, dt), tangents, scenario.noise_matrix(x, u, dt)

    def move_slope(x, u, dt):
        return scenario.process(x, u, dt), slope(moved, x, u, dt), scenario.noise_matrix(x, u, dt)

    def read(x, d, z):
        readings = jax.vmap(lambda d: seen_from(x, d))(d)
        return readings, scenario.innovation(z, scenario.measure(x))

    def read_slope(x, z):
        return slope(seen_from, x), scenario.innovation(z, scenario.measure(x))

    return Models(*map(_in_numpy, (move, move_slope, read, read_slope, space.retract)))


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
    root, failures = _counting_root()
    points = MerweScaledSigmaPoints(d, ALPHA, BETA, KAPPA, sqrt_method=root)
    kf = UnscentedKalmanFilter(d, scenario.sigma.size, 1.0, hx=None, fx=None, points=points)
    zero = np.zeros(d)

    def predict(x, u, dt):
        centre, images, kf.Q = models.process(x, points.sigma_points(zero, kf.P), u, dt)
        given = iter(images)
        kf.predict(fx=lambda point, dt: next(given))
        return centre

    def update(x, z, rows, noise):
        # Sigma points drawn anew around zero: the reference has moved since predict drew them.
        kf.sigmas_f = points.sigma_points(zero, kf.P)
        readings, innovation = models.measure(x, kf.sigmas_f, z)
        given = iter(readings[:, rows])
        kf.update(innovation[rows], R=noise, hx=lambda point: next(given))

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
        slope, innovation = models.measurement_jacobian(x, z)
        # A column state with a flat measurement would silently become (n, n): all is flat.
        kf.update(innovation[rows], lambda _: slope[rows], lambda _: np.zeros(rows.sum()), R=noise)

    return _run(scenario, drive, kf, predict, update, [])


def _run(scenario, drive, kf, predict, update, failures) -> FilterpyRun:
    """Drive a filterpy filter through events and ticks, moving its reference state along."""
    retract, d = _models(scenario).retract, scenario.space.tangent_dim
    x, kf.P = (np.array(a, float) for a in drive.belief)
    kf.x = np.zeros(d)
    says = []
    for packet in _each(drive.packets):
        rows = scenario.mask(packet.seen)
        prior = x
        if rows.any():
            update(x, packet.z, rows, np.diag(scenario.sigma[rows] ** 2))
            x, kf.x = retract(x, kf.x), np.zeros(d)
        says.append((x, kf.P.copy(), prior, *_spread(kf, rows)))
        for u, dt in zip(packet.u, packet.dt, strict=True):
            if dt > 0:
                x = retract(predict(x, u, dt), kf.x)
                kf.x = np.zeros(d)
    return FilterpyRun(*(np.stack(a) for a in zip(*says, strict=True)), failures=len(failures))


def _spread(kf, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay innovation, its covariance and the gain of the rows seen out over all `[Z]`."""
    innovation, cov = np.zeros(rows.size), np.eye(rows.size)
    gain = np.zeros((kf.P.shape[0], rows.size))
    if rows.any():
        innovation[rows], cov[np.ix_(rows, rows)], gain[:, rows] = kf.y, kf.S, kf.K
    return innovation, cov, gain


def _each(packets: Packet):
    arrays = [np.asarray(a) for a in packets]
    return (Packet(*parts) for parts in zip(*arrays, strict=True))


def _counting_root():
    """Return an upper Cholesky factor that never fails, and the list of its failures."""
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
    """Return the largest difference of mean and covariance, in units of the beliefs' own sigma."""
    sigma = np.sqrt(np.diagonal(theirs.cov, axis1=-2, axis2=-1))
    with jax.enable_x64(True):
        apart = jax.vmap(scenario.space.difference)(
            jnp.asarray(ours.mean), jnp.asarray(theirs.mean)
        )
    mean = np.abs(np.asarray(apart)) / sigma
    cov = np.abs(np.asarray(ours.cov) - theirs.cov) / (sigma[:, :, None] * sigma[:, None, :])
    # A NaN anywhere is the largest difference there is.
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
    """Compute stretches of a batched run again with filterpy; return the largest difference.

    The first stretch begins where a drive begins, the others at a random event, from what the
    batched filter believed there. events: length of a stretch, about 150 ticks by default.
    """
    rng = np.random.default_rng(seed)
    batch, total, ticks = np.shape(drives.packets.dt)
    length = min(total, events or max(2, -(-150 // ticks) + 1))
    worst = 0.0
    for stretch in range(segments):
        b = int(rng.integers(batch))
        start = 0 if stretch == 0 else int(rng.integers(total - length + 1))
        own = jax.tree.map(lambda a, b=b, s=start: np.asarray(a[b])[s : s + length], estimates)
        part = _stretch(drives, own, b, start, length)
        worst = max(worst, relative_difference(scenario, own, REFERENCES[kind](scenario, part)))
    return worst


def _stretch(drives: Drive, own: FilterEstimate, b: int, start: int, events: int) -> Drive:
    packets = jax.tree.map(lambda a: np.array(a[b, start : start + events]), drives.packets)
    belief = Belief(*(np.asarray(a[b]) for a in drives.belief))
    if start > 0:
        # Begin with what was believed after the first event: its measurements are used up.
        belief = Belief(own.mean[0], own.cov[0])
        packets.seen[0] = False
    return Drive(np.asarray(drives.t[b])[start : start + events], packets, belief, None)
