"""Modelyard: build, keep, publish and watch machine-learning models on your own machines."""

__version__ = "0.1.0"
