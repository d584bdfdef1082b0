"""Check a scenario before a student is trained on it, in about five seconds."""

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
    """Check shapes, units, models, observability and the consistency of the UKF.

    Runs the scenario's functions, its simulator and its UKF in float64, best on the CPU. Stops
    after an error that makes further checks pointless. seed: of the simulated drives.
    """
    findings = check_description(scenario)
    if any(f.level == "error" for f in findings):
        return tuple(findings)
    evidence = collect_evidence(scenario, seed)
    findings += check_invariants(scenario, evidence)
    if any(f.level == "error" and f.name == "finite" for f in findings):
        return tuple(findings)
    return (*findings, check_observable(scenario, evidence), *check_consistency(scenario, evidence))
