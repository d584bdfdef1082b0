"""A trained student: run it, save it, load it again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from kalmanrnn.core import config_file
from kalmanrnn.core.config import RunConfig
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.core.errors import UserError
from kalmanrnn.evaluation.estimates import Estimates, run_student
from kalmanrnn.models.student import Normaliser, Student, blank_normaliser, make_student
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.training import checkpoint
from kalmanrnn.training.loop import Progress, progress_from
from kalmanrnn.training.run_directory import RunDirectory, open_run


class TrainedStudent(NamedTuple):
    """What training gives: the best student found, and how it was reached.

    student: its structure and scenario. params, norm: weights, and scales fitted on training
    drives. progress: updates, best score. config: the settings it was trained with.
    """

    student: Student
    params: Any
    norm: Normaliser
    progress: Progress
    config: RunConfig

    @property
    def scenario(self) -> Scenario:
        """The scenario it was trained on."""
        return self.student.scenario

    def run(self, drives: Drive) -> Estimates:
        """Estimate a batch of drives, `[B, E, X]`, float64, in the drives' own coordinates."""
        return run_student(self.student, self.params, self.norm, drives)

    def save(self, path: str | Path) -> Path:
        """Write weights, scales and settings to one `.npz`, which `load_student` reads."""
        path = Path(path)
        facts = {"progress": self.progress._asdict(), "config": asdict(self.config)}
        checkpoint.save(path, (self.params, self.norm), facts)
        return path


def load_trained(run: RunDirectory, scenario: Scenario, config: RunConfig) -> TrainedStudent:
    """Load a run's best student; UserError if it is damaged or of another scenario."""
    return _load(run.best, scenario, config)


def load_student(path: str | Path, scenario: Scenario | None = None) -> TrainedStudent:
    """Load a student from a run's folder, or from a file that `save` wrote.

    scenario: needed only where it was made in Python and not loaded from a file. Raises
    UserError where there is no such student, it is damaged, or the scenario does not fit.
    """
    path = Path(path)
    if path.suffix == ".npz":
        file, raw = path, checkpoint.meta_of(path).get("config")
        if raw is None:
            raise UserError(
                f"{path} has no settings in it",
                why="a run keeps them beside it, in config.json",
                cure=f'kr.load_student("{path.parent}")',
            )
        config = config_file.run_config(raw)
    else:
        run = open_run(path)
        file, config = run.best, run.config()
    if scenario is None:
        scenario = scenario_of(config, path)
    return _load(file, scenario, config)


def scenario_of(config: RunConfig, path: Path) -> Scenario:
    """Load the scenario that settings name; UserError where it was made in Python."""
    if config.sim:
        return load_scenario(config.sim, config.set)
    raise UserError(
        f"the scenario of {path} is not in a file",
        why="it was made in Python when the student was trained",
        cure=f'kr.load_student("{path}", scenario), with that scenario',
    )


def _load(file: Path, scenario: Scenario, config: RunConfig) -> TrainedStudent:
    student, params = make_student(scenario, config.student, seed=config.train.seed)
    (params, norm), meta = checkpoint.load(file, (params, blank_normaliser(student)))
    progress = progress_from(meta.get("progress", meta))
    return TrainedStudent(student, params, norm, progress, config)
