"""Training tasks and runs."""
