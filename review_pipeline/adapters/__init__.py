"""Translates between the outside world and the ports; decides nothing."""
