"""A sequence task: inputs and labels made directly, with no filter in it.

A task is a Python file that exports `TASK`; shipped ones and a user's own are loaded the same
way. The file is code and runs as such: load only files you trust.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.core.errors import UserError
from kalmanrnn.scenarios.catalogue import sims_folder
from kalmanrnn.scenarios.loading import load_object
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.sensors import Channel

Kind = Literal["forecast", "step_value", "step_class", "sequence_value", "sequence_class"]


class Sample(NamedTuple):
    """One sequence, or a batch of them with `[B]` in front.

    x: `[T, F]` inputs. y: what a label is by the task's kind: `[N, D]` the next N values
    (forecast), `[T, D]` a number per step, `[T, D]` zeros and ones per step (step_class),
    `[D]` per sequence. weight: `[T]` 1 where a step counts, 0 behind a shorter sequence's end.
    """

    x: Any
    y: Any
    weight: Any


class Verdict(NamedTuple):
    """How a trained network does on fresh sequences.

    value: the task's figure of merit. rows: (what, figure) beside it, the other methods among
    them. conditions: what must hold besides, or the bar is not reached. notes: sentences.
    curves: (name, x, y) of a picture besides the samples; axes: what its x and y are.
    """

    value: float
    rows: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    curves: tuple[tuple[str, Any, Any], ...] = ()
    axes: tuple[str, str] = ("step", "value")
    conditions: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Merit:
    """A task's figure of merit: its name and unit, and the bar it must reach."""

    name: str
    unit: str = ""
    bar: float | None = None
    higher: bool = False

    def holds(self, value: float) -> bool | None:
        """Whether a value reaches the bar; None without one."""
        if self.bar is None:
            return None
        return bool(value >= self.bar if self.higher else value <= self.bar)


# (trained network as a `tasks.model.Model`, key of fresh sequences) -> Verdict.
Judge = Callable[[Any, jax.Array], Verdict]


@dataclass(frozen=True)
class SequenceTask:
    """One description of a task, from which training and report follow.

    inputs, labels: what the columns of x and y are. kind: see `Sample`.
    draw: (key, steps) -> Sample of one sequence, pure and jittable; steps is static.
    steps: T. lengths: (generator, count) -> lengths `[count]` of sequences that differ.
    ahead: N of a forecast. merit: the figure of merit; judge: how it is computed, by the kind's
    own loss if not given. probes: other sequences to look at, by name. beside: what others
    reached, for the report. scaled: bring inputs and labels to unit spread over the training
    sequences. store: make training sequences once and keep them, rather than at each use.
    dt_s: seconds between steps, for the axes of pictures; 0 where steps are no time.
    notes: sentences for the report.
    """

    name: str
    summary: str
    kind: Kind
    inputs: tuple[Channel, ...]
    labels: tuple[Channel, ...]
    draw: Callable[[jax.Array, int], Sample]
    steps: int
    network: NetworkConfig
    budget: BudgetConfig
    merit: Merit
    lengths: Callable[[np.random.Generator, int], np.ndarray] | None = None
    ahead: int = 0
    judge: Judge | None = None
    probes: Mapping[str, Callable[[jax.Array, int], Sample]] = field(
        default_factory=dict, hash=False
    )
    beside: tuple[tuple[str, float], ...] = ()
    scaled: bool = True
    store: bool = False
    dt_s: float = 0.0
    synthetic: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse descriptions that contradict themselves."""
        if not self.steps > 0:
            raise ValueError(f"steps must be positive, got {self.steps}")
        if (self.kind == "forecast") != (self.ahead > 0):
            raise ValueError(f"a forecast has ahead > 0, other kinds 0; got {self.ahead}")
        if self.lengths is not None and not self.by_step:
            raise ValueError(f"sequences of unequal length need labels at steps, not {self.kind}")
        if (self.lengths is not None or self.store) and not self.budget.sequences:
            raise ValueError("sequences that are kept must be counted: budget.sequences is 0")
        network = self.network
        if network.recurrent_output and (network.bidirectional or network.skip or network.conv):
            raise ValueError("recurrent_out goes with neither bidirectional, skip nor conv")
        if self.by_step and (network.conv or network.bidirectional):
            raise ValueError(
                f"a {self.kind} task answers at each step: no strides and nothing backwards"
            )

    @property
    def by_step(self) -> bool:
        """Whether there is a label at every step."""
        return self.kind in ("step_value", "step_class")

    @property
    def classes(self) -> bool:
        """Whether labels are zeros and ones, and the network gives logits."""
        return self.kind in ("step_class", "sequence_class")

    @property
    def outputs(self) -> int:
        """Numbers the network gives at once."""
        return len(self.labels) * max(self.ahead, 1)


def load_sim(
    name_or_path: str | Path, settings: Sequence[str] = (), **params: Any
) -> Scenario | SequenceTask:
    """Load a scenario or a sequence task, whichever the file exports. Raises UserError."""

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
    """Load a sequence task; UserError where the file describes a robot."""
    made = load_sim(name_or_path, settings, **params)
    if isinstance(made, SequenceTask):
        return made
    raise UserError(
        f"the sim {made.name} is a robot, no sequence task",
        why="it exports a SCENARIO",
        cure=f"a task ends with `TASK = make()`, as {sims_folder() / 'sine.py'} does",
    )


def check_task(task: SequenceTask) -> None:
    """Try the shapes of one sequence; ValueError where they are not what the kind says."""
    made = jax.eval_shape(lambda k: task.draw(k, task.steps), jax.random.key(0))
    d = len(task.labels)
    y = {"forecast": (task.ahead, d), "step_value": (task.steps, d), "step_class": (task.steps, d)}
    wanted = Sample((task.steps, len(task.inputs)), y.get(task.kind, (d,)), (task.steps,))
    for name, got, want in zip(Sample._fields, made, wanted, strict=True):
        if got.shape != want:
            raise ValueError(f"draw must give {name} of shape {want}, got {got.shape}")


def plain(x: jax.Array, y: jax.Array) -> Sample:
    """Make a sample in which every step counts."""
    return Sample(x, y, jnp.ones(x.shape[:-1], x.dtype))
