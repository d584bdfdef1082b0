"""Weights rounded to int8, and what that costs in accuracy."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "evaluate": ["QuantisationResult", "quantise_within"],
        "quantise": ["quantise_weights"],
    },
)
