"""Classical filters: the teachers and the baselines."""

from kalmanrnn.filters.ekf import ekf
from kalmanrnn.filters.ukf import ukf

FILTERS = {"ekf": ekf, "ukf": ukf}

__all__ = ["FILTERS", "ekf", "ukf"]
