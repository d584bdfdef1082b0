"""Guess a log's map from its topics, columns and readings: `guess_map.guess_map`."""
