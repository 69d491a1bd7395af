"""The first run, as a newcomer makes it."""
