"""A trained run: the data it learnt from, and how far back its core looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kalmanrnn.diagnostics.training.diagnose import Diagnosis, Tell, examine
from kalmanrnn.diagnostics.training.from_sim import absolute, lessons, more, short_for_sensors
from kalmanrnn.diagnostics.training.from_task import look_at_task, network_of
from kalmanrnn.diagnostics.training.net import of_core
from kalmanrnn.diagnostics.training.settings import Settings
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.training.load import load_trained
from kalmanrnn.training.run_directory import RunDirectory, open_run

# Columns that stand still, go together or are nearly 0 are the scenario's to answer for.
OF_THE_SCENARIO = ("constant", "duplicate", "scale")


def from_run(path: Path, tell: Tell) -> Diagnosis:
    """Look at a run's trained network on fresh drives or sequences; nothing is trained."""
    folder = open_run(path)
    return of_task(folder, tell) if folder.is_task else of_student(folder, tell)


def of_student(folder: RunDirectory, tell: Tell) -> Diagnosis:
    """Look at a student's core along its teacher's run."""
    config = folder.config()
    scenario = load_scenario(config.sim, config.set)
    trained = load_trained(folder, scenario, config)
    data = replace(config.data, teacher="ekf" if config.data.teacher != "ukf" else "ukf")
    config = replace(config, data=data)
    tell(f"simulating drives of {config.sim} and running the {data.teacher.upper()} over them")
    told = lessons(scenario, trained.student, config, trained.norm)
    seen = examine(
        told.series,
        None,
        of_core(trained.student.graph, trained.params),
        Settings(learn=False, fed_back=config.student.student != "direct"),
        tell,
    )
    seen = seen._replace(
        findings=tuple(f for f in seen.findings if f.name not in OF_THE_SCENARIO),
        whose="the trained core",
    )
    return more(seen, short_for_sensors(scenario, config) + absolute(scenario, config, told))


def of_task(folder: RunDirectory, tell: Tell) -> Diagnosis:
    """Look at a sequence task's network, where it runs step by step."""
    from kalmanrnn.tasks.run import load_task_run

    config = folder.task_config()
    trained = load_task_run(folder, config)
    network = network_of(trained.model)
    seen = look_at_task(trained.model.task, config.budget, tell, trained.model, network)
    return seen._replace(whose="the trained network") if network else seen
