"""Estimators for robots: exported programs in many forms, and the online estimator."""
