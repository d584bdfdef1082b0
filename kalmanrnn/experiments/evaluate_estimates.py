"""Evaluate any estimates of the same drives, from Python: students, filters, a user's arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.config import DataConfig, is_external
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.environment import versions
from kalmanrnn.core.errors import UsageError, UserError
from kalmanrnn.evaluation import estimates as known
from kalmanrnn.evaluation.comparison import Comparison, compare
from kalmanrnn.evaluation.estimates import Estimates
from kalmanrnn.filters.external.labels import label
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.report import json_data, markdown, write
from kalmanrnn.scenarios.scenario import Scenario


@dataclass(frozen=True)
class Evaluation:
    """What came of evaluating estimates; by state group, in the unit that `units` names.

    comparison: everything a report says, as arrays. info: what it says of its making.
    """

    comparison: Comparison
    info: dict[str, Any]

    @property
    def units(self) -> dict[str, str]:
        """Unit of each state group, such as "m" or "deg"."""
        return {group.name: group.unit for group in self.comparison.groups}

    @property
    def rmse(self) -> dict[str, dict[str, float]]:
        """Root mean square error: `rmse[estimator][group]`; empty without a truth."""
        return {
            name: {group: found.rmse for group, found in metrics.errors.items()}
            for name, metrics in self.comparison.metrics.items()
        }

    @property
    def ratio(self) -> dict[str, float]:
        """Accuracy ratio by group: RMSE(student - truth) / RMSE(teacher - truth)."""
        return {group: found.value for group, found in self.comparison.accuracy_ratio.items()}

    @property
    def ratio_interval(self) -> dict[str, tuple[float, float]]:
        """Paired-bootstrap 95 % interval of each ratio."""
        ratios = self.comparison.accuracy_ratio
        return {group: (found.low, found.high) for group, found in ratios.items()}

    @property
    def imitation_ratio(self) -> dict[str, float]:
        """RMSE(student - teacher) / RMSE(teacher - truth) by group."""
        return {group: found.value for group, found in self.comparison.imitation_ratio.items()}

    @property
    def diverged(self) -> dict[str, int]:
        """Number of drives on which each estimator diverged."""
        found = {name: m.diverged for name, m in self.comparison.metrics.items()}
        return {name: int(each.sum()) for name, each in found.items() if each is not None}

    def save(self, path: str | Path) -> Path:
        """Write a report: by its ending .html, .md, .json or .csv; without one, a folder of all."""
        path = Path(path)
        if not path.suffix:
            write.write_report(path, self.comparison, info=self.info)
            return path
        texts = write.report_texts(self.comparison, self.info, only=path.suffix)
        if not texts:
            raise UsageError(
                f"cannot write a report to {path.name}",
                why="a report is .html, .md, .json or .csv, or a folder with all of them",
                cure=f'save("{path.with_suffix(".html")}")',
            )
        atomic_write(path, next(iter(texts.values())))
        return path

    def to_dict(self) -> dict[str, Any]:
        """Return what report.json holds."""
        return json_data.as_json(self.comparison, self.info)

    def __str__(self) -> str:
        """Return the report as Markdown."""
        return markdown.render(self.comparison, self.info)


def evaluate(
    scenario: Scenario,
    drives: Drive,
    *,
    relative_to: str = "",
    ratio_of: str = "",
    skip_s: float | None = None,
    seed: int = 0,
    **estimates: Estimates | np.ndarray,
) -> Evaluation:
    """Compare estimates of the same drives with the truth and with each other.

    estimates: by name, `Estimates` or means `[B, E, X]` in the state's layout. ratio_of: the name
    whose error stands above in ratios ("student" if given, else the last). relative_to: the name
    whose error stands below ("ukf" or "ekf" if given, else the first). skip_s: burn-in at each
    drive's start that metrics exclude [s]; 10 s, or a quarter of shorter drives. seed: of the
    bootstrap.

    Drives without a truth give agreement and innovations only. Raises UserError where a shape
    does not fit or a mean is NaN.

        result = kr.evaluate(scenario, drives, ukf=ukf, student=student.run(drives))
        result.ratio["position"]
    """
    found = {name: _as_estimates(scenario, drives, name, each) for name, each in estimates.items()}
    names = list(found)
    if len(names) < 2:
        raise UsageError(
            f"evaluate compares at least two estimates, got {len(names)}",
            why="ratios are of one estimator over another",
            cure="kr.evaluate(scenario, drives, ukf=kr.run_filter(scenario, drives), mine=x)",
        )
    defaults = [name for name in ("ukf", "ekf", *names) if name in found and name != ratio_of]
    relative_to = relative_to or defaults[0]
    rest = [name for name in names if name != relative_to]
    ratio_of = ratio_of or ("student" if "student" in rest else rest[-1])
    for name in (relative_to, ratio_of):
        if name not in found:
            raise UsageError(
                f"there are no estimates named {name!r}",
                why=f"the names given are {', '.join(names)}",
                cure=f"kr.evaluate(..., {name}=...)",
            )
    t = np.asarray(drives.t)
    length = float((t[:, -1] - t[:, 0]).min())
    skip = min(DataConfig().skip_s, length / 4) if skip_s is None else skip_s
    if not 0 <= skip < length:
        raise UsageError(
            f"skip_s={skip:g} leaves nothing to evaluate",
            why=f"the shortest drive lasts {length:.3g} s",
            cure=f"skip_s={length / 4:.2g}, or leave it out",
        )
    comparison = compare(
        scenario, drives, found, teacher=relative_to, student=ratio_of, skip_s=skip, seed=seed
    )
    return Evaluation(comparison, {"seed": seed, "versions": versions()})


def run_filter(scenario: Scenario, drives: Drive, name: str = "ukf") -> Estimates:
    """Run a filter over a batch of drives, float64: mean `[B, E, X]` and covariance `[B, E, D, D]`.

    name: "ukf", "ekf", "dead_reckoning" (process model alone), "gps" (the last fix held), or a
    filter of your own as "my_filter.py:make_filter" (that file is executed). Raises UserError
    for unknown names, and where your own filter fails on a drive.
    """
    if name == "gps":
        return known.zero_order_hold(scenario, drives)
    if name in known.ESTIMATORS:
        return known.run_filter(scenario, drives, name)
    if not is_external(name) or ".py" not in name:
        raise UsageError(
            f"there is no filter {name!r}",
            why=f"ours are {', '.join([*FILTERS, 'dead_reckoning', 'gps'])}",
            cure='kr.run_filter(scenario, drives, "ukf"), or "my_filter.py:make_filter"',
        )
    sim, settings = scenario.source or ("", ())
    labels = label(scenario, name, drives, sim=sim, settings=settings)
    if labels.failures:
        raise UserError(
            f"{name} failed on {labels.failures} of {len(labels.kept)} drives",
            why=labels.first_message,
            cure="make it survive every drive, or leave those drives out",
        )
    return Estimates(labels.mean, labels.cov)


def _as_estimates(scenario: Scenario, drives: Drive, name: str, given: Any) -> Estimates:
    """Check one entry at the door: UserError."""
    found = given if isinstance(given, Estimates) else Estimates(np.asarray(given, float))
    batch, events = np.shape(drives.t)
    wanted = (batch, events, scenario.space.state_dim)
    if np.shape(found.mean) != wanted:
        raise UsageError(
            f"the estimates {name!r} have shape {list(np.shape(found.mean))}",
            why=f"these drives need [B, E, X] = {list(wanted)}: drives, events, state",
            cure=f"one row of {', '.join(b.name for b in scenario.space.blocks)} for each event",
        )
    columns = slice(None) if found.blocks is None else _columns(scenario, found.blocks)
    if np.isnan(np.asarray(found.mean)[..., columns]).any():
        raise UsageError(
            f"the estimates {name!r} hold NaN",
            why="every event needs an estimate; inf counts as a diverged drive",
            cure="fill gaps by the last estimate, or leave those drives out",
        )
    return found


def _columns(scenario: Scenario, blocks: tuple[str, ...]) -> np.ndarray:
    indices = np.arange(scenario.space.state_dim)
    return np.concatenate([indices[scenario.space.state_slice(name)] for name in blocks])
