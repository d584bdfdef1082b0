"""Classical filters: the teachers and the baselines."""
