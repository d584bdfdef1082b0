"""Train a network: losses, schedule, the one loop, validation, checkpoints, run folders."""
