"""Identifiers: a readable prefix and a ULID, so that they sort by time and say what they name."""

from ulid import ULID


def new(prefix: str) -> str:
    """A fresh id such as `job_01J…`; `prefix` is the singular noun's short form."""
    return f"{prefix}_{ULID()}"
