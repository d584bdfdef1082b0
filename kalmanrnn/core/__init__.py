"""What everything else stands on: array types, settings, errors, quaternions, state spaces."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "config": [
            "DataConfig",
            "LogsConfig",
            "RunConfig",
            "StudentConfig",
            "TaskConfig",
            "TrainConfig",
        ],
        "datatypes": ["Belief", "Drive", "Estimate", "Estimator", "Packet"],
        "errors": ["UserError"],
        "state_space": ["Block", "StateSpace"],
    },
)
