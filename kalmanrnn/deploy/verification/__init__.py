"""Compare every format of an export with jax, and measure what it costs."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"benchmark": ["compare_costs"], "checks": ["FormatCheck", "verify"]}
)
