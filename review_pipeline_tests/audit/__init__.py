"""Whole trips of the batch audit: real git, SQLite, DuckDB and SDK against the offline API, with faults and kill -9."""
