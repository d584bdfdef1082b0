"""Train and judge networks on sequence tasks, with the loop and the core of filter students."""
