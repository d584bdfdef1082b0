"""Robots described once: sensors, models, trajectories, and drives simulated from them."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "catalogue": ["copy_sim", "list_sims"],
        "scenario": ["Scenario", "load_scenario"],
        "sensors": ["Channel", "Compass", "Gps", "Imu", "Sensor"],
        "simulation": ["simulate"],
        "trajectories": ["integrate", "random_spline", "smoothstep"],
    },
)
