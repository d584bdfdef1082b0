"""A trained student run one message at a time."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"estimator": ["OnlineEstimator", "StateEstimate"]}
)
