"""A user's own filter as the teacher: any Python object with `init(belief)` and `step(packet)`.

`my_filter.py:make_filter` names it. The file is code and runs as such: load only files you trust.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "filterpy_adapter": ["FilterpyTeacher"],
        "labels": ["Labels", "label", "replace_lost"],
        "run": ["as_filter_run"],
    },
)
