"""The Dagster shell: assets, checks, jobs, schedules and sensors over the workflows. Nothing here decides anything of substance."""
