"""Check what a drive's readings tell about its initial state, from Jacobians along the truth.

The Gramian sum of Phi' H' R^-1 H Phi in units of `initial_std` (Maybeck 1979, section 1.7): a
singular value s of its root says that readings alone determine that direction s times better than
the initial belief does. The root rather than the Gramian: it needs half the digits.
"""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.scenario.evidence import Evidence
from kalmanrnn.scenarios.scenario import Scenario

UNOBSERVABLE, WEAK = 0.03, 0.5
# Beyond this growth an initial error has long left the range of a linear model.
MAX_GROWTH = 1e6


def check_observable(scenario: Scenario, seen: Evidence) -> Finding:
    """Name the directions of the initial state that not even the best drive reveals."""
    values, directions = max(
        (_directions(scenario, seen, drive) for drive in range(len(seen.transition))),
        key=lambda found: found[0][-1],
    )
    hidden, weak = values < UNOBSERVABLE, values < WEAK
    seconds = seen.drives.seconds
    if hidden.any():
        return Finding(
            "warning",
            "observability",
            f"{_count(hidden)} not observable in {seconds:.3g} s: "
            f"{describe_directions(scenario, directions[hidden])}; readings add "
            f"{values[-1]:.1g} of what the initial belief knows",
            cure="add a sensor that observes it, or drop it from the state; the filter only keeps "
            "its initial guess",
        )
    if weak.any():
        return Finding(
            "warning",
            "observability",
            f"{_count(weak)} weakly observable in {seconds:.3g} s: "
            f"{describe_directions(scenario, directions[weak])}; readings add "
            f"{values[-1]:.2g} of what the initial belief knows",
            cure="drive longer or with more turns, or accept that it stays near its initial guess",
        )
    return Finding(
        "ok",
        "observability",
        f"all {len(values)} directions; the weakest, "
        f"{describe_directions(scenario, directions[-1:])}, becomes known {values[-1]:.3g} times "
        "better than initially",
    )


def _directions(scenario: Scenario, seen: Evidence, drive: int) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values `[D]`, largest first, and directions `[D, D]`, one a row."""
    std = np.asarray(scenario.initial_std)
    chain = seen.transition[drive] / std[:, None] * std
    small = np.nan_to_num(np.abs(chain), nan=np.inf).max(axis=(1, 2)) < MAX_GROWTH
    events = len(chain) if small.all() else int(np.argmin(small))
    rows = np.einsum("ezd,edk->ezk", seen.measurement_jacobian[drive] * std, chain)[:events]
    rows = rows / scenario.sigma[:, None]
    mask = scenario.mask(np.asarray(seen.drives.packets.seen[drive][:events]))
    rows = rows[mask]
    padded = np.concatenate([rows, np.zeros((len(std), len(std)))])
    _, values, directions = np.linalg.svd(padded, full_matrices=False)
    return values, directions


def describe_directions(scenario: Scenario, directions: np.ndarray) -> str:
    """Name the components of the state that directions `[n, D]` consist of: "heading (0.98)"."""
    names = [
        b.name if b.tangent_size == 1 else f"{b.name}_{i}"
        for b in scenario.space.blocks
        for i in range(b.tangent_size)
    ]
    share = np.sqrt(np.sum(directions**2, axis=0) / (directions**2).sum(axis=0).max())
    if len(directions) == 1:
        share = np.abs(directions[0])
    large = [(s, n) for s, n in zip(share, names, strict=True) if s > 0.15]
    return ", ".join(f"{n} ({s:.2f})" for s, n in sorted(large, key=lambda one: -one[0]))


def _count(which: np.ndarray) -> str:
    return "one direction is" if which.sum() == 1 else f"{which.sum()} directions are"
