"""Check a scenario before anything is trained on it."""
