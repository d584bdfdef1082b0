"""Real logs become drives; each format has its own file, what is common stands in align."""
