"""Datasets, their samples with purposes, and immutable releases."""
