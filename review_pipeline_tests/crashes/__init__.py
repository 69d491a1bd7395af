"""kill -9 at every step boundary."""
