"""Errors of estimators in artificial outages, measured on the fixes withheld from them.

Needs no truth: the estimate at the first fix after an outage is compared with that fix, which
the estimator has not seen. With a truth, there are also the errors during the outage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.data.outages import mask_events
from kalmanrnn.evaluation.estimates import Estimates, origin_sensor
from kalmanrnn.scenarios.scenario import Scenario

DEFAULT_AT = (0.25, 0.5, 0.75)


class OutageErrors(TypedDict):
    """Horizontal errors [m]; end, largest: against the truth, None without one."""

    first_fix: float
    end: float | None
    largest: float | None


class Outage(TypedDict):
    """One outage: when and how long [s], and the errors by estimator."""

    start_s: float
    seconds: float
    rows: dict[str, OutageErrors]


def outage_errors(
    scenario: Scenario,
    run: Callable[[Drive], dict[str, Estimates]],
    drive: Drive,
    starts_s: Sequence[float],
    lengths_s: Sequence[float],
) -> list[Outage]:
    """Insert outages of every length at every start into a drive (batch axis 1), one at a time.

    starts_s: after the drive's first event; by default quarters of the drive. Outages without a
    later fix are left out. Empty if no sensor observes the origin block.
    """
    if not (scenario.origin_columns >= 0).any():
        return []
    sensor, columns = origin_sensor(scenario)
    t = np.asarray(drive.t)[0]
    seen = np.asarray(drive.packets.seen)[0, :, sensor]
    starts = list(starts_s) or [round(float(t[-1]) * part) for part in DEFAULT_AT]
    cuts = []
    for length in lengths_s:
        for start in starts:
            after = np.flatnonzero(seen & (t >= start + length - 1e-6))
            inside = (t >= start - 1e-6) & (t < start + length - 1e-6)
            if after.size and (inside & seen).any():
                cuts.append((start, length, int(after[0]), inside))
    if not cuts:
        return []
    out = np.stack([(t >= start - 1e-6) & (np.arange(t.size) <= e) for start, _, e, _ in cuts])
    copies = jax.tree.map(lambda a: np.repeat(np.asarray(a), len(cuts), axis=0), drive)
    estimates = run(mask_events(copies._replace(truth=None), out))
    z = np.asarray(drive.packets.z)[0][:, columns[:2]]
    found: list[Outage] = [{"start_s": s, "seconds": n, "rows": {}} for s, n, _, _ in cuts]
    for name, estimate in estimates.items():
        for i, (_, _, event, inside) in enumerate(cuts):
            expected = _expected(scenario, estimate.mean[i, event])[columns[:2]]
            end, largest = _against_truth(scenario, drive, estimate.mean[i], inside)
            first_fix = float(np.linalg.norm(z[event] - expected))
            found[i]["rows"][name] = {"first_fix": first_fix, "end": end, "largest": largest}
    return found


def _expected(scenario: Scenario, x: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        # "gps" estimates its own block only; the reading does not depend on the rest.
        known = np.where(np.isfinite(x), x, scenario.space.identity())
        return np.asarray(scenario.measure(jnp.asarray(known)))


def _against_truth(
    scenario: Scenario, drive: Drive, mean: np.ndarray, inside: np.ndarray
) -> tuple[float | None, float | None]:
    if drive.truth is None:
        return None, None
    block = scenario.space.state_slice(scenario.origin)
    plane = slice(block.start, min(block.start + 2, block.stop))
    size = np.linalg.norm((mean - np.asarray(drive.truth)[0])[inside, plane], axis=-1)
    size = size[np.isfinite(size)]
    return (float(size[-1]), float(size.max())) if size.size else (None, None)
