"""Seam: how a trained model is saved, loaded and called."""
