"""Scenario: predicts how one or many series go on, with an interval around each value."""

TITLE = "Time series prediction"
DESCRIPTION = "Predicts how one or many series go on, with an interval around each value."
DEFAULT = "automatic"
