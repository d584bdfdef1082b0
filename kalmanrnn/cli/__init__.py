"""The command line: a file per command; heavy imports come after the flags have been read."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "entry_point": ["main"],
    },
)
