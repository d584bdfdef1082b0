"""kalmanrnn: train a recurrent network to do a Kalman filter's job, and see how well it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kalmanrnn.core.version import __version__

if TYPE_CHECKING:
    from kalmanrnn.deploy.online.estimator import Stepper

__all__ = ["Stepper", "__version__"]


def __getattr__(name: str) -> Any:
    """Import what a user types only when he does: jax takes a second."""
    if name == "Stepper":
        from kalmanrnn.deploy.online.estimator import Stepper

        return Stepper
    raise AttributeError(f"module 'kalmanrnn' has no attribute {name!r}")
