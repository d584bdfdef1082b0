"""Real logs become drives: read, map, convert, bind; a package per step."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "binding.bound_log": ["BoundLog", "bind", "bind_log"],
        "importer": ["import_log"],
        "readers.open_log": ["open_log"],
        "readers.readings": ["Readings", "Source", "Topic"],
        "recording.recording": [
            "CHANNELS",
            "Recording",
            "Stream",
            "load_recording",
            "save_recording",
        ],
        "writers.estimates": ["write_estimates"],
    },
)
