"""What each command does, a file each; heavy imports come after the flags have been read."""
