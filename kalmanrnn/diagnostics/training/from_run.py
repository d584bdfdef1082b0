"""Diagnose a trained run: its data, and how far back its network looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kalmanrnn.diagnostics.training.diagnosis import Diagnosis, Log, run_checks
from kalmanrnn.diagnostics.training.from_sim import (
    check_absolute_outputs,
    check_windows_for_sensors,
    merge_findings,
    student_data,
)
from kalmanrnn.diagnostics.training.from_task import diagnose_model, network_of
from kalmanrnn.diagnostics.training.network import from_core
from kalmanrnn.diagnostics.training.settings import DiagnosisConfig
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.training.run_directory import RunDirectory, open_run
from kalmanrnn.training.trained import load_trained

# Constant, duplicate or tiny columns follow from the scenario.
SCENARIO_FINDINGS = ("constant", "duplicate", "scale")


def from_run(path: Path, log: Log) -> Diagnosis:
    """Diagnose a run's trained network on fresh drives or sequences, without training."""
    folder = open_run(path)
    return diagnose_task(folder, log) if folder.is_task else diagnose_student(folder, log)


def diagnose_student(folder: RunDirectory, log: Log) -> Diagnosis:
    """Diagnose a student's core along its teacher's run."""
    config = folder.config()
    scenario = load_scenario(config.sim, config.set)
    trained = load_trained(folder, scenario, config)
    data = replace(config.data, teacher="ekf" if config.data.teacher != "ukf" else "ukf")
    config = replace(config, data=data)
    log(f"simulating drives of {config.sim} and running the {data.teacher.upper()} over them")
    made = student_data(scenario, trained.student, config, trained.norm)
    seen = run_checks(
        made.data,
        None,
        from_core(trained.student.graph, trained.params),
        DiagnosisConfig(learn=False, output_feedback=config.student.student != "direct"),
        log,
    )
    seen = seen._replace(
        findings=tuple(f for f in seen.findings if f.name not in SCENARIO_FINDINGS),
        network_name="the trained core",
    )
    return merge_findings(
        seen,
        check_windows_for_sensors(scenario, config)
        + check_absolute_outputs(scenario, config, made),
    )


def diagnose_task(folder: RunDirectory, log: Log) -> Diagnosis:
    """Diagnose a sequence task's network, where it runs step by step."""
    from kalmanrnn.tasks.run import load_task_run

    config = folder.task_config()
    trained = load_task_run(folder, config)
    network = network_of(trained.model)
    seen = diagnose_model(trained.model.task, config.budget, log, trained.model, network)
    return seen._replace(network_name="the trained network") if network else seen
