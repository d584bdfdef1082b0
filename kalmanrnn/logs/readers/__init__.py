"""Readers of log formats: ROS 1 and 2 bags, PX4 ULogs, CSV files."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"readings": ["Readings", "Source", "Topic"]}
)
