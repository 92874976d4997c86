"""Seam: built-in ways to train, one file each: form, fit, evaluate."""
