"""Scenario: from the columns of a table to one of two or more classes."""

TITLE = "Tabular classification"
DESCRIPTION = (
    "Predicts which class a row belongs to, with the probability of each: churn or not, which product, which risk."
)
DEFAULT = "lightgbm"
