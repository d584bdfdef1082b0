"""Where a training step falls: which part, which set of drives, which window.

Everything follows from the step's number, so that a run can be taken up at any step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.core.config import DataConfig, TrainConfig


class Part(NamedTuple):
    """One part of training: "distil" along the teacher's run, or "free" run."""

    name: str
    first_step: int
    steps: int
    first_set: int
    batch: int
    window: int
    passes: int
    rate: float
    windows: int
    batches: int

    @property
    def sets(self) -> int:
        """Training sets this part uses."""
        return -(-self.steps // (self.passes * self.windows * self.batches))


class Place(NamedTuple):
    """Where one step falls. `fresh` says that memory starts empty at it."""

    part: Part
    set_index: int
    pass_index: int
    batch: int
    window: int

    @property
    def fresh(self) -> bool:
        """Whether a drive begins here."""
        return self.window == 0


def parts(config: TrainConfig, data: DataConfig, events: int) -> list[Part]:
    """Lay out the parts of a run over drives of that many events."""
    laid: list[Part] = []
    for name in ("distil", "free"):
        steps, batch, window, passes, rate = (
            getattr(config, f"{name}_{field}")
            for field in ("steps", "batch", "window", "passes", "rate")
        )
        window = min(window, events)
        batch = min(batch, data.drives)
        before = laid[-1] if laid else None
        first_step = before.first_step + before.steps if before else 0
        first_set = before.first_set + before.sets if before else 0
        windows, batches = events // window, data.drives // batch
        laid.append(
            Part(name, first_step, steps, first_set, batch, window, passes, rate, windows, batches)
        )
    return laid


def place(laid: list[Part], step: int) -> Place:
    """Find where a step falls."""
    part = next(p for p in reversed(laid) if step >= p.first_step and p.steps)
    window_count, inside = divmod(step - part.first_step, part.windows)
    pass_count, batch = divmod(window_count, part.batches)
    set_count, pass_index = divmod(pass_count, part.passes)
    return Place(part, part.first_set + set_count, pass_index, batch, inside)


def order(seed: int, where: Place, drives: int) -> np.ndarray:
    """Return the drives `[batch]` of a step's batch; a pass sees each drive once."""
    rng = np.random.default_rng([seed, where.set_index, where.pass_index])
    size = where.part.batch
    return rng.permutation(drives)[where.batch * size : (where.batch + 1) * size]
