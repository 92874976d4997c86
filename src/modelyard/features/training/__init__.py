"""Jobs, runs and their metric history."""
