"""Sequence tasks: networks trained on inputs and labels, with no filter in them."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "predict": ["predict_sequences"],
        "run": ["evaluate_task", "train_task"],
        "task": ["Metric", "Sample", "SequenceTask", "TaskMetrics", "load_task", "unweighted"],
    },
)
