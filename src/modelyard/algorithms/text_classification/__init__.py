"""Scenario: predicts the class of a text, with the probability of each: spam or not, which topic, how urgent."""

TITLE = "Text classification"
DESCRIPTION = "Predicts the class of a text, with the probability of each: spam or not, which topic, how urgent."
DEFAULT = "linear"
