"""Tests; `python -m review_pipeline_tests` runs all checks."""
