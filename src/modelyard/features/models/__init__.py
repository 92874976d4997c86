"""Prefixes, models, versions and their artifacts."""
