"""Reviews a team's code with Claude, as a Dagster code location: in batches what can wait, at once what blocks a merge."""
