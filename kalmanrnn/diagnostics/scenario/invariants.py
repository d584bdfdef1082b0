"""Check what every model must satisfy at every state: finite, on the manifold, still at dt = 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kalmanrnn.diagnostics.finding import Finding, pass_or_fail
from kalmanrnn.diagnostics.scenario.evidence import Evidence
from kalmanrnn.scenarios.scenario import Scenario

# Float64 rounding of positions 10 km out is 2e-12 m; a process may lose a few digits more.
EXACT = 1e-6
UNIT = 1e-8


def check_invariants(scenario: Scenario, seen: Evidence) -> list[Finding]:
    """Check all invariants; stop where something is not finite."""
    finite = check_finite(scenario, seen)
    if finite.level == "error":
        return [finite]
    findings = [finite, check_manifold(scenario, seen), check_retract(scenario, seen)]
    findings.append(check_zero_dt(scenario, seen))
    if scenario.yaw_symmetry is not None:
        findings.append(check_yaw_symmetry(scenario, seen))
    if scenario.origin:
        findings.append(check_origin(scenario, seen))
    return findings


def check_finite(scenario: Scenario, seen: Evidence) -> Finding:
    """Find blocks or columns in which a model or its Jacobian is not finite."""
    state, tangent = block_names(scenario, "state"), block_names(scenario, "tangent")
    columns = reading_names(scenario)
    inputs = [f"input {c.name}" for c in scenario.inputs]
    near = seen.samples
    checked = [
        ("simulate_truth's states", seen.truth, state),
        ("simulate_truth's inputs", seen.u, inputs),
        ("sample_initial", seen.initial_error, tangent),
        ("process", seen.after, state),
        ("process near the truth", near.after, state),
        ("process_noise", seen.noise, tangent),
        ("the Jacobian of process", np.swapaxes(seen.process_jacobian, -1, -2), tangent),
        ("measure near the truth", near.readings, columns),
        ("the Jacobian of measure", np.swapaxes(seen.measurement_jacobian, -1, -2), columns),
        ("process at dt = 0", near.rest, tangent),
    ]
    bad = []
    for name, values, names in checked:
        if not names:
            continue
        share = 1 - np.isfinite(values).reshape(-1, len(names)).mean(axis=0)
        if share.any():
            worst = join_unique(n for n, s in zip(names, share, strict=True) if s > 0)
            bad.append(f"{name} is not finite in {worst} ({share.max():.1%} of the states tried)")
    states = seen.after[..., 0].size + len(near.after)
    good = f"process, measure and their Jacobians at {states} simulated states"
    cure = "look for a square root or arctan2 at 0 (add 1e-12 inside) and a division by 0 or dt"
    return pass_or_fail("finite", bad, good, cure)


def check_manifold(scenario: Scenario, seen: Evidence) -> Finding:
    """Check that quaternions have length 1 and angles lie within half a turn."""
    bad, worst = [], 0.0
    for name, values in (("process", seen.after), ("simulate_truth", seen.truth)):
        for block in scenario.space.blocks:
            part = values[..., scenario.space.state_slice(block.name)]
            if block.kind == "rotation":
                off = float(np.abs(np.linalg.norm(part, axis=-1) - 1).max())
                worst = max(worst, off)
                if off > UNIT:
                    bad.append(
                        f"{name} returns for {block.name} a quaternion {off:.1g} off length 1"
                    )
            if block.kind == "angle" and np.abs(part).max() > np.pi + UNIT:
                bad.append(
                    f"{name} returns for {block.name} an angle of {np.abs(part).max():.3g} rad"
                )
    kinds = {b.kind for b in scenario.space.blocks} - {"vector"}
    good = f"quaternions within {worst:.0e} of length 1, angles within pi"
    if not kinds:
        good = "only vectors"
    cure = "end it with quaternion.normalise(q) or state_space.wrap(angle)"
    return pass_or_fail("manifold", bad, good, cure)


def check_retract(scenario: Scenario, seen: Evidence) -> Finding:
    """Check that retract and difference undo each other, tangents up to 1 (rad, m, ...)."""
    tangent = block_names(scenario, "tangent")
    off = np.maximum(np.abs(seen.samples.back), np.abs(seen.samples.again)).max(axis=0)
    bad = [
        f"difference(retract(x, d), x) is {off[i]:.2g} off d in {tangent[i]}"
        for i in _first_of_each(tangent, off > EXACT)
    ]
    return pass_or_fail(
        "retract",
        bad,
        f"difference undoes it to {off.max():.0e}",
        "fix the state space: a rotation's tangent must be on the side that its block names",
    )


def check_zero_dt(scenario: Scenario, seen: Evidence) -> Finding:
    """Check that a tick with dt = 0 changes nothing and adds no noise."""
    tangent, near = block_names(scenario, "tangent"), seen.samples
    moved = np.abs(near.rest).max(axis=0)
    added = np.abs(near.rest_noise).max(axis=0)
    usual = seen.noise.mean(axis=(0, 1))
    bad = [
        f"process moves {tangent[i]} by {moved[i]:.2g} at dt = 0"
        for i in _first_of_each(tangent, ~(moved <= EXACT))
    ]
    bad += [
        f"process_noise adds {added[i]:.2g} to {tangent[i]} at dt = 0"
        for i in _first_of_each(tangent, ~(added <= 1e-9 * usual))
    ]
    cure = "multiply what a tick changes by dt (a variance by dt or dt**2): padding has ticks of "
    return pass_or_fail("dt = 0", bad, "changes nothing and adds no noise", cure + "dt = 0")


def check_yaw_symmetry(scenario: Scenario, seen: Evidence) -> Finding:
    """Check that process and measure commute with `yaw_symmetry`."""
    moved = np.abs(seen.samples.turned_after).max(axis=0)
    read = np.abs(seen.samples.turned_readings).max(axis=0)
    bad = [
        f"process and yaw_symmetry do not commute: {tangent} is {off:.2g} off"
        for tangent, off in _worst_of_each(block_names(scenario, "tangent"), moved)
    ]
    bad += [
        f"measure and yaw_symmetry do not commute: {column} is {off:.2g} off"
        for column, off in _worst_of_each(reading_names(scenario), read)
    ]
    cure = "rotate every block and reading that has a direction, or drop yaw_symmetry"
    return pass_or_fail("yaw_symmetry", bad, "process and measure commute with it", cure)


def check_origin(scenario: Scenario, seen: Evidence) -> Finding:
    """Check that a shift by 10 km changes nothing but readings of the origin block."""
    moved = np.abs(seen.samples.moved_after).max(axis=0)
    read = np.abs(seen.samples.moved_readings).max(axis=0)
    bad = [
        f"process depends on the origin: {tangent} is {off:.2g} off"
        for tangent, off in _worst_of_each(block_names(scenario, "tangent"), moved)
    ]
    bad += [
        f"{column} is {off:.3g} off when the origin moves by 10 km"
        for column, off in _worst_of_each(reading_names(scenario), read)
    ]
    cure = f'set observes="{scenario.origin}" for a sensor that reads {scenario.origin}, or '
    cure += 'origin="" where something depends on the absolute position'
    return pass_or_fail("origin", bad, "a shift by 10 km shifts the readings as much", cure)


def block_names(scenario: Scenario, side: str) -> list[str]:
    """Name the block of every number of a state ("state") or a tangent vector ("tangent")."""
    return [b.name for b in scenario.space.blocks for _ in range(getattr(b, f"{side}_size"))]


def reading_names(scenario: Scenario) -> list[str]:
    """Name sensor and channel of every measurement column."""
    return [f"{s.name}'s {c.name}" for s in scenario.sensors for c in s.channels]


def join_unique(names: Sequence[str] | object) -> str:
    """Join names, each once, in their order."""
    return ", ".join(dict.fromkeys(names))  # pyright: ignore[reportArgumentType, reportCallIssue]


def _first_of_each(names: Sequence[str], wrong: np.ndarray) -> list[int]:
    return list({names[i]: i for i in reversed(np.flatnonzero(wrong))}.values())[::-1]


def _worst_of_each(names: Sequence[str], off: np.ndarray) -> list[tuple[str, float]]:
    worst: dict[str, float] = {}
    for name, value in zip(names, off, strict=True):
        # 10 km have a rounding error of 2e-12 m.
        if not value <= EXACT:
            worst[name] = max(worst.get(name, 0.0), float(value))
    return list(worst.items())
