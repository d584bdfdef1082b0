"""What everything else stands on: array types, settings, errors, quaternions, state spaces."""
