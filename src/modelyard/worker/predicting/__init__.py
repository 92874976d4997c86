"""Predicting the rows of a table: reading them, asking the version, writing the result."""
