"""Scenario: from the columns of a table to a number."""

TITLE = "Tabular regression"
DESCRIPTION = "Predicts a number for each row: a price, a demand, a duration."
DEFAULT = "lightgbm"
