"""Scenarios, algorithms and their forms; read-only over the algorithms seam."""
