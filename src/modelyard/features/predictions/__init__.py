"""Batch predictions: the rows of a table predicted as a job."""
