"""The online estimator: one message at a time, late ones included."""
