"""Scenario: finds the rows of a table, or the moments of a series, that are unlike the rest, with or without labels."""

TITLE = "Anomaly detection"
DESCRIPTION = "Finds the rows of a table, or the moments of a series, that are unlike the rest, with or without labels."
DEFAULT = "rank-average"
