"""Whole jobs: train and evaluate, evaluate on logs, sweep settings."""
