"""The filters of this package by name."""

from kalmanrnn.filters.ekf import ekf
from kalmanrnn.filters.ukf import ukf

FILTERS = {"ekf": ekf, "ukf": ukf}
