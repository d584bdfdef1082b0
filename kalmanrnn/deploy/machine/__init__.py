"""A whole estimator as two programs and plain facts, and its archive."""
