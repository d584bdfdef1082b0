"""Guess a map from a log's topics, columns and values."""
