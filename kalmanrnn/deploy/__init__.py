"""Export an estimator as C, ONNX, StableHLO or numpy, verify it, and run it message by message."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "export_folder": ["export"],
        "online.estimator": ["OnlineEstimator"],
        "verification.checks": ["verify"],
    },
)
