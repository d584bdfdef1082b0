"""Recordings: one log in SI units, our axes and one clock; and its drive file."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "geodesy": ["Origin"],
        "recording": ["CHANNELS", "Recording", "Stream", "load_recording", "save_recording"],
    },
)
