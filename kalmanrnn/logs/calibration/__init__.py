"""Calibration of an IMU's noise from a log at rest."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "allan": ["AllanCurve", "NoiseFit", "allan_deviation", "fit_noise"],
        "stationary": ["StationaryImu", "select_stationary"],
    },
)
