"""Why does a network not learn? Checks of its data, its memory, its gradients and its training."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "diagnosis": ["Diagnosis", "diagnose"],
        "text": ["diagnosis_to_json", "format_diagnosis"],
    },
)
