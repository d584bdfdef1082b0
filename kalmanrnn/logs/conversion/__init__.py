"""Conversion of readings to streams: clocks, units, axes, mounting, reference."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "clock": ["TimedTopic", "to_common_clock"],
        "convert": ["convert_topic"],
        "reference": ["reference_stream"],
    },
)
