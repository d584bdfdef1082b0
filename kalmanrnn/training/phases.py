"""Where a training step falls: which phase, which set of drives, which window.

Everything follows from the step's number, so that a run can be resumed at any step.
"""

from __future__ import annotations

from typing import NamedTuple

from kalmanrnn.core.config import DataConfig, TrainConfig


class Phase(NamedTuple):
    """One phase of training: "distil" along the teacher's run, or "rollout" on its own output."""

    name: str
    first_step: int
    steps: int
    first_set: int
    batch: int
    window: int
    epochs: int
    learning_rate: float
    windows: int
    batches: int

    @property
    def sets(self) -> int:
        """Training sets this phase uses."""
        return -(-self.steps // (self.epochs * self.windows * self.batches))


class Position(NamedTuple):
    """Where one step falls. `fresh` says that memory starts empty at it."""

    phase: Phase
    set_index: int
    epoch: int
    batch: int
    window: int

    @property
    def fresh(self) -> bool:
        """Whether a drive begins here."""
        return self.window == 0


def phases(config: TrainConfig, data: DataConfig, events: int) -> list[Phase]:
    """Lay out the phases of a run over drives of that many events."""
    found: list[Phase] = []
    for name in ("distil", "rollout"):
        steps, batch, window, epochs, rate = (
            getattr(config, f"{name}_{field}")
            for field in ("steps", "batch", "window", "epochs", "learning_rate")
        )
        window = min(window, events)
        batch = min(batch, data.drives)
        before = found[-1] if found else None
        first_step = before.first_step + before.steps if before else 0
        first_set = before.first_set + before.sets if before else 0
        windows, batches = events // window, data.drives // batch
        found.append(
            Phase(name, first_step, steps, first_set, batch, window, epochs, rate, windows, batches)
        )
    return found


def locate(plan: list[Phase], step: int) -> Position:
    """Find where a step falls."""
    phase = next(p for p in reversed(plan) if step >= p.first_step and p.steps)
    window_count, inside = divmod(step - phase.first_step, phase.windows)
    epoch_count, batch = divmod(window_count, phase.batches)
    set_count, epoch = divmod(epoch_count, phase.epochs)
    return Position(phase, phase.first_set + set_count, epoch, batch, inside)
