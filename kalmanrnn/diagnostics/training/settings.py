"""Settings of a diagnosis, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from kalmanrnn.core.config import NetworkConfig
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


DEFAULT_LEARNING_RATE = 5e-3
