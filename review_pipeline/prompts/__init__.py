"""Instructions for the model, one Markdown file a workload."""
