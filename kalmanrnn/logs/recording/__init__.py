"""A recording: one log in SI units, our frames and one clock; the drive file."""
