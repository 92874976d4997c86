"""Seam: start, stop and list processes."""
