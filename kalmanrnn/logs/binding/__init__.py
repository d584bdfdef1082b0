"""Binding of a recording to a scenario: a drive with events, initial belief and truth."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "bound_log": ["BoundLog", "bind", "bind_log"],
        "position_fixes": ["PositionFixes", "find_fixes"],
        "truth": ["truth_at"],
    },
)
