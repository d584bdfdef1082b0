"""Weights rounded to int8, and what that costs in accuracy."""
