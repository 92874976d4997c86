"""Datasets, a worker's part, and a client in short words: see fixtures/training.py."""

from fixtures.training import api, dataset, made, owner, worker

__all__ = ["api", "dataset", "made", "owner", "worker"]
