"""kalmanrnn: train a recurrent network to do a Kalman filter's job, and see how well it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kalmanrnn.stepper import Stepper

__version__ = "0.1.0"
__all__ = ["Stepper", "__version__"]


def __getattr__(name: str) -> Any:
    """Import what a user types only when he does: jax takes a second."""
    if name == "Stepper":
        from kalmanrnn.stepper import Stepper

        return Stepper
    raise AttributeError(f"module 'kalmanrnn' has no attribute {name!r}")
