"""Diagnose a scenario before its student is trained: the data that it would learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import RunConfig
from kalmanrnn.data.augmentation import random_outages
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.teacher_runs import make_drives, run_teacher
from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.columns import SAME
from kalmanrnn.diagnostics.training.diagnosis import Diagnosis, Log, by_cause, run_checks
from kalmanrnn.diagnostics.training.growth import check_growth
from kalmanrnn.diagnostics.training.lags import LagCurve, check_window_for_lag
from kalmanrnn.diagnostics.training.sequences import Sequences, standardise
from kalmanrnn.diagnostics.training.settings import DiagnosisConfig
from kalmanrnn.models.recurrent import network_config
from kalmanrnn.models.student import Normaliser, Student, clock_size, make_student
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.training.batches import layout_targets

DRIVES, SECONDS, MAX_UNITS = 32, 40.0, 32
STREAM = -7
# A network resolves about this share of its output's spread without effort.
RESOLUTION = 0.02
NEGLIGIBLE = 1e-6


class StudentData(NamedTuple):
    """What a student would learn from.

    data: features and target outputs. teacher_std: `[D]` the teacher's standard deviations, in
    the outputs' units; empty where the output is a gain.
    """

    data: Sequences
    teacher_std: np.ndarray
    norm: Normaliser


def from_sim(config: RunConfig, log: Log, *, learn: bool = True) -> Diagnosis:
    """Diagnose a scenario and its student before anything is trained."""
    log(f"simulating {DRIVES} drives of {config.sim} and running the {config.data.teacher.upper()}")
    scenario = load_scenario(config.sim, config.set)
    student, _ = make_student(scenario, config.student, seed=config.train.seed)
    made = student_data(scenario, student, config)
    core = network_config(config.student)
    core = replace(core, hidden=min(core.hidden, MAX_UNITS), head=min(core.head, MAX_UNITS))
    settings = DiagnosisConfig(
        core=core, learn=learn, output_feedback=config.student.student != "direct"
    )
    seen = run_checks(drop_idle_clock(made.data, scenario), None, None, settings, log)
    windows = check_windows_for_sensors(scenario, config) or check_windows_for_lags(
        config, seen.lags
    )
    return merge_findings(seen, windows + check_absolute_outputs(scenario, config, made))


def student_data(
    scenario: Scenario, student: Student, config: RunConfig, norm: Normaliser | None = None
) -> StudentData:
    """Simulate a few drives with outages, as training does, and lay out what a student learns."""
    data = replace(config.data, seconds=min(SECONDS, config.data.seconds), check_segments=0)
    drives = make_drives(scenario, data, config.train.seed, STREAM, DRIVES)
    drives = random_outages(drives, data, config.train.seed, 7)
    teacher = run_teacher(
        scenario, data, drives, every=config.student.every, seed=config.train.seed
    )
    if norm is None:
        norm = fit_normaliser(student, teacher.drives, teacher.run, skip=1)
    made = jax.tree.map(
        np.asarray, layout_targets(scenario, config.student, norm, teacher.drives, teacher.run)
    )
    gain = config.student.student == "gain"
    targets = made.gain.reshape(*made.gain.shape[:2], -1) if gain else made.output
    data = Sequences(made.features.astype(float), targets.astype(float), True)
    std = np.zeros(0) if gain else np.median(made.teacher_std, axis=(0, 1))
    return StudentData(data, std, norm)


def drop_idle_clock(data: Sequences, scenario: Scenario) -> Sequences:
    """Drop clock columns that are constant or duplicate only because drives are simulated."""
    x = standardise(data.inputs).reshape(-1, data.inputs.shape[2])
    still = np.ptp(x, axis=0) == 0
    alike = np.triu(np.abs(x.T @ x) > SAME * len(x), 1)
    still |= alike.any(axis=0)
    still[: -clock_size(scenario)] = False
    # Gains that a model has none of are 0, or what rounding makes of it.
    moves = np.ptp(data.targets, axis=(0, 1)) > NEGLIGIBLE
    return data._replace(inputs=data.inputs[..., ~still], targets=data.targets[..., moves])


def check_windows_for_sensors(scenario: Scenario, config: RunConfig) -> list[Finding]:
    """Find windows shorter than two periods of the slowest sensor."""
    slowest = min(scenario.sensors, key=lambda sensor: sensor.rate_hz)
    step_hz = scenario.event_hz * (
        scenario.ticks_per_event if config.student.every == "tick" else 1
    )
    period = step_hz / slowest.rate_hz
    found = []
    for name in ("distil_window", "rollout_window"):
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
                f"reads every {1 / slowest.rate_hz:.3g} s ({period:.3g} steps)",
                window / period,
                "make windows long enough for several of its readings",
                f"kalmanrnn train --sim {config.sim} {flag} {wanted}",
            )
        )
    return found


def check_windows_for_lags(config: RunConfig, curve: LagCurve | None) -> list[Finding]:
    """Find training windows that end before the last lag that matters."""
    again = f"kalmanrnn train --sim {config.sim}"
    return [
        *check_window_for_lag("--distil-window", config.train.distil_window, curve, again),
        *check_window_for_lag("--rollout-window", config.train.rollout_window, curve, again),
    ]


def check_absolute_outputs(
    scenario: Scenario, config: RunConfig, student: StudentData
) -> list[Finding]:
    """Find absolute outputs that grow, or that need more precision than a network has."""
    kind = config.student.student
    if kind not in ("direct", "feedback"):
        return []
    found = [
        f._replace(
            what=f.what.replace("targets column", f"{scenario.origin or 'state'}: targets column"),
            cure="let the network correct a prediction instead of giving the state itself",
            command=f"kalmanrnn train --sim {config.sim} --student gain",
        )
        for f in check_growth(position_targets(scenario, student.data))
        if f.what.startswith("targets")
    ]
    size = student.data.targets.std(axis=(0, 1))
    share = student.teacher_std / np.where(size > 0, size, np.inf)
    share = np.where(share > 0, share, np.inf)
    worst = int(share.argmin())
    if share[worst] > RESOLUTION:
        return found
    return [
        *found,
        Finding(
            "error",
            "resolution",
            f"absolute outputs: {_block(scenario, worst)} must be accurate to {share[worst]:.2%} "
            "of its own spread to be as good as the teacher, and the spread grows with the drive",
            float(share[worst]),
            "turn output feedback on: let the network correct a prediction made from its last "
            "output",
            f"kalmanrnn train --sim {config.sim} --student gain",
        ),
    ]


def position_targets(scenario: Scenario, data: Sequences) -> Sequences:
    """Keep the position targets: estimated biases grow too, but not without bound."""
    if not scenario.origin:
        return data
    part = scenario.space.tangent_slice(scenario.origin)
    return data._replace(targets=data.targets[..., part])


def _block(scenario: Scenario, index: int) -> str:
    """Name the state block that a component of the tangent belongs to."""
    for block in scenario.space.blocks:
        part = scenario.space.tangent_slice(block.name)
        if part.start <= index < part.stop:
            return block.name
    return f"output {index}"


def merge_findings(seen: Diagnosis, found: list[Finding]) -> Diagnosis:
    """Add the findings that need the scenario; its check of growth replaces the general one."""
    known = {"growth", *(f.name for f in found)} - {"feedback"}
    kept = [f for f in seen.findings if f.name not in known]
    return seen._replace(findings=by_cause([*kept, *found]))
