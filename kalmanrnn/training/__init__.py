"""Train a network: losses, phases, the one loop, validation, checkpoints, run folders."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "run_directory": ["RunDirectory", "create_run", "open_run"],
        "trained": ["TrainedStudent", "load_student"],
    },
)
