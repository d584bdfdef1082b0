"""An estimator traced into two programs and a spec, and its archive."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"archive": ["write_archive"], "machine": ["Machine", "trace_estimator"]}
)
