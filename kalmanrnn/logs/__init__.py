"""Real logs become drives: read, map, convert, bind; each step a package."""
