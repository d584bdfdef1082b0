"""What a log holds and what is odd about it."""
