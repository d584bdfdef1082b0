"""Networks: the recurrent core, and the students that estimate with it."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "recurrent": ["HiddenState", "make_core"],
        "student": ["Normaliser", "Student", "estimator", "make_student"],
    },
)
