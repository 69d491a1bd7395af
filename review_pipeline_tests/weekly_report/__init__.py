"""The weekly report, from a real DuckDB history to the page."""
