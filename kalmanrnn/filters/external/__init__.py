"""A user's own filter as the teacher: any Python object with `init(belief)` and `step(packet)`.

`my_filter.py:make_filter` names it. The file is code and runs as such: name only files you trust.
"""

from __future__ import annotations

from kalmanrnn.filters.external.filterpy_adapter import FilterpyTeacher
from kalmanrnn.filters.external.labels import Labels, label, replace_lost
from kalmanrnn.filters.external.run import as_filter_run

__all__ = ["FilterpyTeacher", "Labels", "as_filter_run", "replace_lost", "label"]
