"""IMU noise from a log of a robot at rest."""
