"""Frozen messages between processes. No behaviour beyond encoding; no I/O."""
