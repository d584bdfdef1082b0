"""Reports of a comparison: HTML, Markdown, JSON, CSV, and their figures."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"text": ["verdict"], "write": ["write_report"]}
)
