"""Check a scenario before a student is trained on it: about five seconds instead of a lost run."""

from __future__ import annotations

from kalmanrnn.diagnostics.finding import Finding, exit_code, format_findings
from kalmanrnn.diagnostics.scenario.consistency import check_consistency
from kalmanrnn.diagnostics.scenario.description import check_description
from kalmanrnn.diagnostics.scenario.evidence import collect_evidence
from kalmanrnn.diagnostics.scenario.invariants import check_invariants
from kalmanrnn.diagnostics.scenario.observability import check_observable
from kalmanrnn.scenarios.scenario import Scenario

__all__ = ["Finding", "check_scenario", "exit_code", "format_findings"]


def check_scenario(scenario: Scenario, *, seed: int = 0) -> tuple[Finding, ...]:
    """Look at description, models, teacher and observability; stop where the rest is pointless.

    Runs the scenario's functions, its simulator and its UKF in float64, best on the CPU.
    """
    findings = check_description(scenario)
    if any(f.level == "error" for f in findings):
        return tuple(findings)
    seen = collect_evidence(scenario, seed)
    findings += check_invariants(scenario, seen)
    if any(f.level == "error" and f.name == "finite" for f in findings):
        return tuple(findings)
    return (*findings, check_observable(scenario, seen), *check_consistency(scenario, seen))
