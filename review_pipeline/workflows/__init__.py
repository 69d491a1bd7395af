"""Trips through the system, each told as its own story. They take ports and decide; they never open anything themselves."""
