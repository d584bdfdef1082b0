"""kalmanrnn: train a recurrent network to do a Kalman filter's job, and see how well it does."""

__version__ = "0.1.0"
