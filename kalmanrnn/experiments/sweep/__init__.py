"""Sweeps: a grid of settings, a run directory for each, one report on error against width."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "folder": ["create_sweep", "open_sweep"],
        "grid": ["read_grid"],
        "run": ["run_sweep"],
    },
)
