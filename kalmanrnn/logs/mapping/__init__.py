"""Log maps: which topic or column is which sensor, and how to read it."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"parse": ["parse_map"], "schema": ["LogMap"]}
)
