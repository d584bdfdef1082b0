"""The map file: which topic or column is which sensor, and how to read it."""
