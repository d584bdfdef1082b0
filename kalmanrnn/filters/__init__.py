"""Classical filters, the teachers and baselines: EKF and UKF in JAX, equal to filterpy's."""
