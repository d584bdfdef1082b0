"""A user's own filter as the teacher: any Python object with `init(belief)` and `step(packet)`.

`my_filter.py:make_filter` names it. The file is code and runs as such: name only files you trust.
"""

from __future__ import annotations

from kalmanrnn.own_teacher.filterpy import FilterpyTeacher
from kalmanrnn.own_teacher.labels import Labels, filled, label
from kalmanrnn.own_teacher.run import as_filter_run

__all__ = ["FilterpyTeacher", "Labels", "as_filter_run", "filled", "label"]
