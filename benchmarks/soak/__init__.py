"""Soak: a whole platform under load for minutes, while versions are swapped and its processes are killed."""
