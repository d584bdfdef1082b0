"""Diagnosis of a log: what it holds, what is odd about it, how noisy its IMU is."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "allan_figure": ["draw_allan"],
        "checks": ["check_log"],
        "facts": ["LogFacts", "collect_facts"],
        "imu_noise": ["ImuNoise", "estimate_imu_noise"],
        "log_figure": ["draw_log"],
    },
)
