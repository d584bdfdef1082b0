"""What a check is told besides the arrays: the one place where its defaults are written."""

from __future__ import annotations

from dataclasses import dataclass

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.diagnostics.training.fit import Loss, square


@dataclass(frozen=True)
class Settings:
    """What is known of how a network is trained.

    carried: its state goes from each sequence into the next. learning_rate: its Adam's, None
    where it has another optimiser or nobody says. output_range: what its output can be, None to
    find out. loss: (outputs, targets) -> a number. learn: whether to train for a minute.
    fed_back: the last output comes back to the network by another way than the inputs.
    core: which of our cores stands in where there is no network. stride: so many steps become one
    in front of it, by strided convolutions.
    """

    carried: bool = False
    learning_rate: float | None = None
    output_range: tuple[float, float] | None = None
    loss: Loss = square
    learn: bool = True
    fed_back: bool = False
    core: NetworkConfig = NetworkConfig(hidden=32, head=32)
    stride: int = 1


DEFAULT_RATE = 5e-3
