"""Kalman filters, the teachers and baselines: EKF and UKF in JAX, equal to filterpy's."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "ekf": ["FilterEstimate"],
        "external": ["FilterpyTeacher"],
        "kinds": ["FILTERS"],
        "rollout": ["map_batches"],
    },
)
