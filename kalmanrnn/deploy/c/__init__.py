"""C99: a program as readable source with static memory, and its self-test."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "compiled": ["compile_folder", "load_library"],
        "source_files": ["write_sources"],
    },
)
