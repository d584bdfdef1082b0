"""Write estimates as CSV, TUM or MCAP."""
