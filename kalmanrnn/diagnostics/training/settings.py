"""Settings of a diagnosis, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.core.errors import UsageError
from kalmanrnn.diagnostics.training.fit import Loss, mean_squared_error


@dataclass(frozen=True)
class DiagnosisConfig:
    """How the diagnosed network is trained.

    stateful: its state is carried from each sequence into the next. learning_rate: Adam's, None
    if unknown. output_range: lowest and highest output, None to probe. loss: (outputs, targets)
    -> a number. learn: train networks for about a minute. output_feedback: the last output comes
    back to the network by another way than the inputs. core: our core that stands in where there
    is no network. stride: steps that strided convolutions in front of it merge into one.
    """

    stateful: bool = False
    learning_rate: float | None = None
    output_range: tuple[float, float] | None = None
    loss: Loss = mean_squared_error
    learn: bool = True
    output_feedback: bool = False
    core: NetworkConfig = NetworkConfig(hidden=32, head=32)
    stride: int = 1

    def __post_init__(self) -> None:
        """Refuse figures that no network can have: UserError."""
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise UsageError(
                f"the learning rate must be positive, got {self.learning_rate}",
                why="it is the factor of every update",
                cure="learning_rate=1e-3   (--learning-rate 1e-3)",
            )
        if self.output_range is not None and not self.output_range[0] < self.output_range[1]:
            low, high = self.output_range
            raise UsageError(
                f"the output range must go from low to high, got {low:g} to {high:g}",
                why="it is the lowest and the highest possible output",
                cure="output_range=(-1, 1)   (--output-range -1 1)",
            )


DEFAULT_LEARNING_RATE = 5e-3
