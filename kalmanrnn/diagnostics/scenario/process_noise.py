"""Check that truth and process differ by what `process_noise` says, per tick and per second."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.scenario.evidence import Evidence
from kalmanrnn.scenarios.scenario import Scenario

# In standard deviations: a tick too large, a tick that is an error, noise that is not white,
# noise that is claimed but absent.
LARGER, WRONG, DRIFTING, SMALLER = 1.5, 3.0, 2.5, 0.2
MATTERS = 0.1


class Mismatch(NamedTuple):
    """A block's one-tick differences compared with the claimed noise.

    tick, second: their root mean square over what is claimed, in one tick and summed over a
    second. variance: mean square per second. claimed: variance claimed per tick. matters: whether
    a second's difference exceeds a tenth of the UKF's uncertainty.
    """

    block: str
    tick: float
    second: float
    ticks: int
    variance: float
    claimed: float
    matters: bool


def mismatches(scenario: Scenario, seen: Evidence) -> list[Mismatch]:
    """Compare each block."""
    ticks = max(1, min(round(scenario.tick_hz), seen.residual.shape[1] // 4))
    whole = seen.residual.shape[1] // ticks * ticks
    folded = seen.residual[:, :whole].reshape(len(seen.residual), -1, ticks, seen.noise.shape[-1])
    summed = folded.sum(axis=2)
    cov = np.asarray(seen.run.cov)
    uncertainty = np.diagonal(cov[:, cov.shape[1] // 2 :], axis1=-2, axis2=-1).mean(axis=(0, 1))
    found = []
    for block in scenario.space.blocks:
        at = scenario.space.tangent_slice(block.name)
        one, many = (seen.residual[..., at] ** 2).mean(), (summed[..., at] ** 2).mean()
        claimed = float(seen.noise[..., at].mean())
        # A diverged filter has a NaN covariance: then everything matters.
        matters = not many < MATTERS**2 * uncertainty[at].mean()
        found.append(
            Mismatch(
                block.name,
                _times(one, claimed),
                _times(many, ticks * claimed),
                ticks,
                float(one * scenario.tick_hz),
                claimed,
                matters,
            )
        )
    return found


def check_process_noise(scenario: Scenario, seen: Evidence) -> Finding:
    """Find blocks whose noise is too small, not white or far too large."""
    found = mismatches(scenario, seen)
    problems = [p for p in map(describe, found) if p]
    if not problems:
        ratios = [
            f"{m.block} {m.tick:.2g}" if m.claimed else f"{m.block} negligible" for m in found
        ]
        return Finding("ok", "process noise", "one tick's error / claimed: " + ", ".join(ratios))
    wrong = any(m.tick > WRONG and m.matters for m in found)
    what, cures = zip(*problems, strict=True)
    level = "error" if wrong else "warning"
    return Finding(level, "process noise", "; ".join(what), cure="; ".join(cures))


def describe(m: Mismatch) -> tuple[str, str] | None:
    """Describe what is wrong with a block, and the cure."""
    variance = f"the variance of {m.block}"
    if m.matters and m.tick > LARGER and not m.claimed:
        return (
            f"{m.block} changes at each tick, but process_noise is 0",
            f"give {m.block} a variance of {m.variance:.2g} a second",
        )
    if m.matters and m.tick > LARGER:
        return (
            f"one tick of {m.block} differs by {m.tick:.3g} times what process_noise says",
            f"multiply {variance} by {m.tick**2:.2g}",
        )
    if m.matters and m.second > DRIFTING:
        return (
            f"{m.block} drifts {m.second:.3g} times more in {m.ticks} ticks than white noise would",
            f"multiply {variance} by {m.second**2:.2g}, or model its cause",
        )
    # A smooth truth changes little in a tick but adds up over a second.
    if max(m.tick, m.second) < SMALLER and m.claimed:
        return (
            f"one tick of {m.block} differs by {m.tick:.2g} times what is claimed",
            f"multiply {variance} by {m.tick**2:.2g}",
        )
    return None


def _times(square: float, claimed: float) -> float:
    if claimed > 0:
        return float(np.sqrt(square / claimed))
    return 0.0 if square == 0 else np.inf
