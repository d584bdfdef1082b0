"""The intermediate representation: jax traced and lowered to a short list of operations."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"program": ["Program"], "tracing": ["trace"]}
)
