"""Decides: values in, values out. No clock, disk, network, environment, randomness or logging."""
