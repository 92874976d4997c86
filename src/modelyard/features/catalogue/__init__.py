"""Scenarios, algorithms with their forms, which of them may be used, and configurations: named parameters."""
