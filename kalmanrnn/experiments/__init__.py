"""Whole jobs: train and evaluate, evaluate on logs, sweep settings."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "evaluate_estimates": ["Evaluation", "evaluate", "run_filter"],
        "on_logs": ["read_log"],
        "run_training": ["train"],
    },
)
