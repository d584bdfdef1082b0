"""A scenario's lessons as its student sees them, and what a student of that kind must be told."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import RunConfig
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.teacher_runs import make_drives, random_outages, run_teacher
from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.columns import SAME
from kalmanrnn.diagnostics.training.diagnose import Diagnosis, Tell, by_cause, examine
from kalmanrnn.diagnostics.training.growth import growth
from kalmanrnn.diagnostics.training.lags import LagCurve, short_for_lag
from kalmanrnn.diagnostics.training.sequences import Series, standard
from kalmanrnn.diagnostics.training.settings import Settings
from kalmanrnn.models.recurrent import network_config
from kalmanrnn.models.student import Normaliser, Student, clock_size, make_student
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.training.update import layout_targets

DRIVES, SECONDS, MOST_UNITS = 32, 40.0, 32
PURPOSE = -7
# A network resolves about this share of its output's spread without effort.
RESOLVES = 0.02
NOTHING = 1e-6


class Lessons(NamedTuple):
    """What a student would learn from.

    series: features and wanted outputs. spread: `[D]` the teacher's standard deviations, in the
    outputs' units; empty where the output is a gain.
    """

    series: Series
    spread: np.ndarray
    norm: Normaliser


def from_sim(config: RunConfig, tell: Tell, *, learn: bool = True) -> Diagnosis:
    """Look at a scenario with a student of that kind, before anything is trained."""
    tell(
        f"simulating {DRIVES} drives of {config.sim} and running the {config.data.teacher.upper()}"
    )
    scenario = load_scenario(config.sim, config.set)
    student, _ = make_student(scenario, config.student, seed=config.train.seed)
    told = lessons(scenario, student, config)
    core = network_config(config.student)
    core = replace(core, hidden=min(core.hidden, MOST_UNITS), head=min(core.head, MOST_UNITS))
    settings = Settings(core=core, learn=learn, fed_back=config.student.student != "direct")
    seen = examine(without_clock(told.series, scenario), None, None, settings, tell)
    short = short_for_sensors(scenario, config) or short_for_lags(config, seen.lags)
    return more(seen, short + absolute(scenario, config, told))


def lessons(
    scenario: Scenario, student: Student, config: RunConfig, norm: Normaliser | None = None
) -> Lessons:
    """Make a few drives with outages, as training does, and lay out what a student learns."""
    data = replace(config.data, seconds=min(SECONDS, config.data.seconds), check_stretches=0)
    drives = make_drives(scenario, data, config.train.seed, PURPOSE, DRIVES)
    drives = random_outages(drives, data, [config.train.seed, 7])
    taught = run_teacher(scenario, data, drives, every=config.student.every, seed=config.train.seed)
    if norm is None:
        norm = fit_normaliser(student, taught.drives, taught.run, skip=1)
    made = jax.tree.map(
        np.asarray, layout_targets(scenario, config.student, norm, taught.drives, taught.run)
    )
    gain = config.student.student == "gain"
    targets = made.gain.reshape(*made.gain.shape[:2], -1) if gain else made.output
    series = Series(made.features.astype(float), targets.astype(float), True)
    spread = np.zeros(0) if gain else np.median(made.spread, axis=(0, 1))
    return Lessons(series, spread, norm)


def without_clock(series: Series, scenario: Scenario) -> Series:
    """Leave out columns of the clock that stand still, or go together, in simulation alone."""
    x = standard(series.inputs).reshape(-1, series.inputs.shape[2])
    still = np.ptp(x, axis=0) == 0
    alike = np.triu(np.abs(x.T @ x) > SAME * len(x), 1)
    still |= alike.any(axis=0)
    still[: -clock_size(scenario)] = False
    # Gains that a model has none of are 0, or what rounding makes of it.
    moves = np.ptp(series.targets, axis=(0, 1)) > NOTHING
    return series._replace(inputs=series.inputs[..., ~still], targets=series.targets[..., moves])


def short_for_sensors(scenario: Scenario, config: RunConfig) -> list[Finding]:
    """Find windows that end before the slowest sensor has spoken."""
    slowest = min(scenario.sensors, key=lambda sensor: sensor.rate_hz)
    step_hz = scenario.event_hz * (
        scenario.ticks_per_event if config.student.every == "tick" else 1
    )
    period = step_hz / slowest.rate_hz
    found = []
    for name in ("distil_window", "free_window"):
        window = getattr(config.train, name)
        if window >= 2 * period:
            continue
        flag = f"--{name.replace('_', '-')}"
        wanted = int(np.ceil(10 * period))
        found.append(
            Finding(
                "error" if window < period else "warning",
                "window",
                f"{flag} {window} is {window / step_hz:.3g} s; the slowest sensor, {slowest.name}, "
                f"speaks every {1 / slowest.rate_hz:.3g} s ({period:.3g} steps)",
                window / period,
                "windows should hold several of its readings",
                f"kalmanrnn train --sim {config.sim} {flag} {wanted}",
            )
        )
    return found


def short_for_lags(config: RunConfig, curve: LagCurve | None) -> list[Finding]:
    """Find windows of training that end before the last lag that matters."""
    again = f"kalmanrnn train --sim {config.sim}"
    return [
        *short_for_lag("--distil-window", config.train.distil_window, curve, again),
        *short_for_lag("--free-window", config.train.rollout_window, curve, again),
    ]


def absolute(scenario: Scenario, config: RunConfig, told: Lessons) -> list[Finding]:
    """Find absolute outputs: that grow, and that must be right to a sliver of their own spread."""
    kind = config.student.student
    if kind not in ("direct", "feedback"):
        return []
    found = [
        f._replace(
            what=f.what.replace("targets column", f"{scenario.origin or 'state'}: targets column"),
            cure="let the network correct a prediction instead of giving the state itself",
            command=f"kalmanrnn train --sim {config.sim} --student gain",
        )
        for f in growth(where_it_is(scenario, told.series))
        if f.what.startswith("targets")
    ]
    size = told.series.targets.std(axis=(0, 1))
    share = told.spread / np.where(size > 0, size, np.inf)
    share = np.where(share > 0, share, np.inf)
    worst = int(share.argmin())
    if share[worst] > RESOLVES:
        return found
    return [
        *found,
        Finding(
            "error",
            "resolution",
            f"absolute outputs: {_block(scenario, worst)} must be right to {share[worst]:.2%} of "
            "its own spread to be as good as the teacher, and the spread grows with the drive",
            float(share[worst]),
            "switch output feedback on: let the network correct a prediction made from the last "
            "output",
            f"kalmanrnn train --sim {config.sim} --student gain",
        ),
    ]


def where_it_is(scenario: Scenario, series: Series) -> Series:
    """Keep the targets that say where the robot is: biases that are being found grow too."""
    if not scenario.origin:
        return series
    part = scenario.space.tangent_slice(scenario.origin)
    return series._replace(targets=series.targets[..., part])


def _block(scenario: Scenario, index: int) -> str:
    """Name the state block that a component of the tangent belongs to."""
    for block in scenario.space.blocks:
        part = scenario.space.tangent_slice(block.name)
        if part.start <= index < part.stop:
            return block.name
    return f"output {index}"


def more(seen: Diagnosis, found: list[Finding]) -> Diagnosis:
    """Put what only a scenario can tell among the findings; it knows growth better.

    A bias that is being found grows too, but not without bound.
    """
    known = {"growth", *(f.name for f in found)} - {"feedback"}
    kept = [f for f in seen.findings if f.name not in known]
    return seen._replace(findings=by_cause([*kept, *found]))
