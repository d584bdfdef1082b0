"""Single drives to plot: the student's best, median and worst."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.state_space import StateSpace
from kalmanrnn.evaluation import metrics
from kalmanrnn.evaluation.estimates import Estimates, origin_sensor
from kalmanrnn.scenarios.scenario import Scenario


class ExampleDrive(NamedTuple):
    """One drive to plot, in its origin block, or in its first vector block without one.

    rank: "best", "median" or "worst", "only" for a single drive. t: `[E]` s. truth, estimates:
    `[E, n]`; truth may be None.
    readings: `[R, n]` of the sensor that observes the block, where seen; None without one.
    """

    rank: str
    drive: int
    score: float
    t: np.ndarray
    truth: np.ndarray | None
    estimates: dict[str, np.ndarray]
    readings: np.ndarray | None


def first_vector(space: StateSpace) -> str:
    """Name the block to plot where a scenario has no origin."""
    vectors = [b.name for b in space.blocks if b.kind == "vector"]
    return (vectors or [space.blocks[0].name])[0]


def pick_examples(
    scenario: Scenario,
    drives: Drive,
    estimates: dict[str, Estimates],
    block: str,
    size: np.ndarray,
    evaluated: np.ndarray,
) -> tuple[ExampleDrive, ...]:
    """Pick the student's best, median and worst drive by its RMSE in `block`."""
    score = np.sqrt(metrics.mean_square(np.where(evaluated, size, np.nan)))
    order = np.argsort(score)
    order = order[~np.isnan(score[order])]
    if not order.size:
        order = np.arange(len(score))
    picks = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    if len(score) == 1:
        picks = {"only": 0}
    part = scenario.space.state_slice(block)
    return tuple(
        ExampleDrive(
            rank=what,
            drive=int(i),
            score=float(score[i]),
            t=np.asarray(drives.t)[i] - np.asarray(drives.t)[i, 0],
            truth=_truth(drives, int(i), part),
            estimates={
                name: np.asarray(estimate.mean)[i][:, part]
                for name, estimate in estimates.items()
                if name != "gps" and (estimate.blocks is None or block in estimate.blocks)
            },
            readings=_readings(scenario, drives, int(i)),
        )
        for what, i in picks.items()
    )


def _truth(drives: Drive, drive: int, part: slice) -> np.ndarray | None:
    """Return the true block `[E, n]` of one drive, None if it is unknown."""
    if drives.truth is None:
        return None
    truth = np.asarray(drives.truth)[drive][:, part]
    return truth if np.isfinite(truth).any() else None


def _readings(scenario: Scenario, drives: Drive, drive: int) -> np.ndarray | None:
    """Return the origin block's readings in one drive `[R, n]`, where seen."""
    if not (scenario.origin_columns >= 0).any():
        return None
    sensor, columns = origin_sensor(scenario)
    seen = np.asarray(drives.packets.seen)[drive, :, sensor]
    return np.asarray(drives.packets.z)[drive][seen][:, columns]
