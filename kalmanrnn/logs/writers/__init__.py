"""Writers of estimates: CSV, TUM, MCAP."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"estimates": ["write_estimates"], "poses": ["Poses", "pose_from_state"]}
)
