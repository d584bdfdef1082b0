"""The command line: a file per command; heavy imports come after the flags have been read."""
