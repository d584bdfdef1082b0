"""Check a scenario before anything is trained on it: models, observability, consistency."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "check": ["check_scenario"],
    },
)
