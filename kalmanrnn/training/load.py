"""Load a finished run: its best student, ready to run."""

from __future__ import annotations

from kalmanrnn.core.config import RunConfig
from kalmanrnn.models.student import blank_normaliser, make_student
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training import checkpoint
from kalmanrnn.training.fit import Trained
from kalmanrnn.training.loop import progress_from
from kalmanrnn.training.run_directory import RunDirectory


def load_trained(folder: RunDirectory, scenario: Scenario, config: RunConfig) -> Trained:
    """Load a run's best student; UserError if it is damaged or of another scenario."""
    student, params = make_student(scenario, config.student, seed=config.train.seed)
    like = (params, blank_normaliser(student))
    (params, norm), meta = checkpoint.load(folder.best, like)
    return Trained(student, params, norm, progress_from(meta))
