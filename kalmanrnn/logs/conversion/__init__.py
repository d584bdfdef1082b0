"""From readings as logged to a recording: clocks, units, frames, mounts, references."""
