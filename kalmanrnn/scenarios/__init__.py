"""Robots described once: sensors, models, trajectories, and the drives simulated from them."""
