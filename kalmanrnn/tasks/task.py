"""A sequence task: inputs and labels, with no filter in it.

A task is a Python file that exports `TASK`; bundled ones and a user's own are loaded the same
way. The file is executed: load only files you trust.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.scenarios.catalogue import sims_folder
from kalmanrnn.scenarios.loading import load_object
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.old_names import RefusesOldNames, refuse_old_names

if not TYPE_CHECKING:
    __getattr__ = refuse_old_names(
        __name__, {"Verdict": "TaskMetrics", "Merit": "Metric", "plain": "unweighted"}
    )
Kind = Literal["forecast", "step_value", "step_class", "sequence_value", "sequence_class"]


class Sample(NamedTuple):
    """One sequence, or a batch of them with `[B]` in front.

    x: `[T, F]` inputs. y: labels, by the task's kind: `[N, D]` the next N values
    (forecast), `[T, D]` a number per step, `[T, D]` zeros and ones per step (step_class),
    `[D]` per sequence. weight: `[T]` 1 where a step counts, 0 after a shorter sequence's end.
    """

    x: Any
    y: Any
    weight: Any


class TaskMetrics(NamedTuple):
    """How a trained network does on fresh sequences.

    value: the task's metric. rows: (name, value) of further figures, such as other methods.
    conditions: (name, whether it holds); all must hold for the target to count as reached.
    notes: sentences for the report. curves: (name, x, y) of one more figure; axes: its labels.
    """

    value: float
    rows: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    curves: tuple[tuple[str, Any, Any], ...] = ()
    axes: tuple[str, str] = ("step", "value")
    conditions: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Metric(RefusesOldNames):
    """What a task is measured by: name, unit, and the target value."""

    name: str
    unit: str = ""
    target: float | None = None
    higher_is_better: bool = False

    def is_reached(self, value: float) -> bool | None:
        """Whether a value reaches the target; None without one."""
        if self.target is None:
            return None
        return bool(value >= self.target if self.higher_is_better else value <= self.target)


# (trained network as a `tasks.model.Model`, key of fresh sequences) -> TaskMetrics.
MetricFunction = Callable[[Any, jax.Array], TaskMetrics]


@dataclass(frozen=True)
class SequenceTask(RefusesOldNames):
    """The description of a task, from which training and report follow.

    inputs, labels: the columns of x and y. kind: see `Sample`.
    sample: (key, steps) -> Sample of one sequence, pure and jittable; steps is static.
    steps: T. lengths: (generator, count) -> lengths `[count]`, where sequences differ in length.
    horizon: N of a forecast. metric: what the task is measured by; evaluate: computes it, else it
    is the kind's own error. probes: other sequences to evaluate, by name. baselines: what others
    reached, for the report. normalise: scale inputs and labels to unit spread over the training
    sequences. precompute: make training sequences once, rather than at each use.
    dt_s: seconds between steps, for time axes; 0 where steps are not in time.
    synthetic: whether the report says that the data are. notes: sentences for the report.
    """

    name: str
    summary: str
    kind: Kind
    inputs: tuple[Channel, ...]
    labels: tuple[Channel, ...]
    sample: Callable[[jax.Array, int], Sample]
    steps: int
    network: NetworkConfig
    budget: BudgetConfig
    metric: Metric
    lengths: Callable[[np.random.Generator, int], np.ndarray] | None = None
    horizon: int = 0
    evaluate: MetricFunction | None = None
    probes: Mapping[str, Callable[[jax.Array, int], Sample]] = field(
        default_factory=dict, hash=False
    )
    baselines: tuple[tuple[str, float], ...] = ()
    normalise: bool = True
    precompute: bool = False
    dt_s: float = 0.0
    synthetic: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse contradictory descriptions."""
        if not self.steps > 0:
            raise ValueError(f"steps must be positive, got {self.steps}")
        if (self.kind == "forecast") != (self.horizon > 0):
            raise ValueError(f"horizon must be positive for a forecast, else 0; got {self.horizon}")
        if self.lengths is not None and not self.per_step:
            raise ValueError(f"sequences of unequal length need a label per step, not {self.kind}")
        if (self.lengths is not None or self.precompute) and not self.budget.sequences:
            raise ValueError("lengths and precompute need budget.sequences, which is 0")
        network = self.network
        if network.recurrent_output and (network.bidirectional or network.skip or network.conv):
            raise ValueError("recurrent_output cannot be combined with bidirectional, skip or conv")
        if self.per_step and (network.conv or network.bidirectional):
            raise ValueError(
                f"a {self.kind} task has outputs per step: conv and bidirectional cannot be used"
            )

    @property
    def per_step(self) -> bool:
        """Whether there is a label at every step."""
        return self.kind in ("step_value", "step_class")

    @property
    def is_classification(self) -> bool:
        """Whether labels are zeros and ones, and the network outputs logits."""
        return self.kind in ("step_class", "sequence_class")

    @property
    def output_size(self) -> int:
        """How many numbers the network outputs at once."""
        return len(self.labels) * max(self.horizon, 1)


def load_sim(
    name_or_path: str | Path, settings: Sequence[str] = (), **params: Any
) -> Scenario | SequenceTask:
    """Load the scenario or sequence task that a file exports. Raises UserError."""

    def check(made: Any) -> None:
        if isinstance(made, SequenceTask):
            check_task(made)

    _, made = load_object(name_or_path, settings, params, check)
    if isinstance(made, SequenceTask):
        return made
    return load_scenario(name_or_path, settings, **params)


def load_task(
    name_or_path: str | Path, settings: Sequence[str] = (), **params: Any
) -> SequenceTask:
    """Load a sequence task; UserError where the file exports a scenario."""
    made = load_sim(name_or_path, settings, **params)
    if isinstance(made, SequenceTask):
        return made
    raise UserError(
        f"{made.name} is not a sequence task",
        why="it exports a SCENARIO",
        cure=f"a task ends with `TASK = make()`, as {sims_folder() / 'sine.py'} does",
    )


def check_task(task: SequenceTask) -> None:
    """Check the shapes of one sequence against the kind; ValueError."""
    made = jax.eval_shape(lambda k: task.sample(k, task.steps), jax.random.key(0))
    d = len(task.labels)
    y = {
        "forecast": (task.horizon, d),
        "step_value": (task.steps, d),
        "step_class": (task.steps, d),
    }
    wanted = Sample((task.steps, len(task.inputs)), y.get(task.kind, (d,)), (task.steps,))
    for name, got, want in zip(Sample._fields, made, wanted, strict=True):
        if got.shape != want:
            raise ValueError(f"sample must return {name} of shape {want}, got {got.shape}")


def unweighted(x: jax.Array, y: jax.Array) -> Sample:
    """Return a sample in which every step counts."""
    return Sample(x, y, jnp.ones(x.shape[:-1], x.dtype))
